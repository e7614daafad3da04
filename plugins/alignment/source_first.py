"""Source first, then target."""

from dataclasses import dataclass

from automl_xfer.components import AlignmentMethod, Float


@dataclass(frozen=True)
class SourceFirst(AlignmentMethod):
    """Train on the source's labels for the first `share` of the training, then on the target's.

    Sequential fine-tuning through an intermediate task; for images e.g. Ng et al. 2015, Deep
    learning for emotion recognition on small datasets using transfer learning (ICMI).
    """

    name = "source-first"
    requires = frozenset({"source", "target_labels", "trainable"})

    share: float = Float(0.5, low=0.1, high=0.9)

    def task_weights(self, progress: float) -> tuple[float, float]:
        return (1.0, 0.0) if progress < self.share else (0.0, 1.0)
