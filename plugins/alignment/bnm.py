"""Batch nuclear-norm maximisation."""

from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from ..singular_values import singular_values
from .batch_precision import in_full_precision


@dataclass(frozen=True)
class BatchNuclearNorm(AlignmentMethod):
    """Make the target's predictions certain and diverse.

    −weight · ‖softmax(Z_t)‖_* / min(N, K), the mean singular value of the target batch's (N, K)
    probabilities. Cui et al. 2020, arXiv 2003.12237 (whose text divides by N, whose code as
    here). It needs a batch of at least as many images as classes, for fewer cannot show every
    class, and is therefore only offered where the classes are few.
    """

    name = "bnm"
    requires = frozenset({"unlabelled", "trainable", "few_classes"})
    complexity = 2

    weight: float = Float(1.0, low=0.05, high=2.0, log=True)

    def least_target_batch(self, num_classes: int) -> int:
        return max(36, num_classes)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _NuclearNormLoss(self.weight)


class _NuclearNormLoss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        return -self.weight * mean_singular_value(target.logits.softmax(1))


def mean_singular_value(matrix: Tensor) -> Tensor:
    """‖A‖_* / min(N, K) of an (N, K) matrix; NaN if an entry is not finite."""
    return singular_values(matrix).mean()
