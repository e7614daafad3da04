"""Label smoothing."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import Batch, Float, Regularizer


@dataclass(frozen=True)
class LabelSmoothing(Regularizer):
    """Share a little of each label among all classes.

    ε · (mean_k(−log p_k) − CE), so that CE plus this term is the cross-entropy to
    (1 − ε) y + ε/K. Szegedy et al. 2016, arXiv 1512.00567.
    """

    name = "label-smoothing"

    epsilon: float = Float(0.1, low=0.01, high=0.3)

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> Callable[[Batch], Tensor]:
        return self._term

    def _term(self, batch: Batch) -> Tensor:
        surprise = -batch.logits.log_softmax(1)
        return self.epsilon * (surprise.mean(1) - (batch.labels * surprise).sum(1)).mean()
