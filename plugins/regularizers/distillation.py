"""Knowledge distillation."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import kl_div

from automl_xfer.components import Batch, Float, Regularizer

from .precision import widened

SMALLEST = 1e-8


@dataclass(frozen=True)
class Distillation(Regularizer):
    """Say what a teacher says: the mean of the best frozen strategies so far, up to three.

    weight · T² · mean_i KL(q_i ‖ softmax(z_i/T)), q_i ∝ p_i^(1/T) the teacher's probabilities p_i
    (at least 1e-8) at temperature T: softmax(log p/T) = softmax(logits/T). Hinton, Vinyals and
    Dean 2015, arXiv 1503.02531. A batch without a teacher adds nothing. `teacher` is the search's
    to set: their strategies as JSON.
    """

    name = "distillation"
    excludes = frozenset({"mixed_images"})  # the teacher saw each image by itself
    complexity = 2
    distils = True

    weight: float = Float(1.0, low=0.1, high=10.0, log=True)
    temperature: float = Float(2.0, low=1.0, high=8.0, log=True)
    teacher: str = ""

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> Callable[[Batch], Tensor]:
        return self._term

    def _term(self, batch: Batch) -> Tensor:
        if batch.teacher is None:
            return batch.logits.new_zeros(())
        logits, known = widened(batch.logits), widened(batch.teacher).clamp_min(SMALLEST).log()
        student = (logits / self.temperature).log_softmax(1)
        teacher = (known / self.temperature).log_softmax(1)
        distance = kl_div(student, teacher, reduction="batchmean", log_target=True)
        return self.weight * self.temperature**2 * distance
