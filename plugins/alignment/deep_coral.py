"""Deep CORAL."""

from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .moments import covariance
from .precision import full_precision


@dataclass(frozen=True)
class DeepCoral(AlignmentMethod):
    """Pull the covariances of source and target features together.

    weight · ‖C_s − C_t‖²_F / (4 d²), with unbiased covariances of the (N, d) features of each
    batch. Sun and Saenko 2016, arXiv 1607.01719.
    """

    name = "deep-coral"
    requires = frozenset({"source", "trainable"})
    complexity = 2

    weight: float = Float(1.0, low=0.1, high=100.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _CoralLoss(self.weight)


class _CoralLoss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        return self.weight * coral_distance(source.features, target.features)


@full_precision
def coral_distance(source: Tensor, target: Tensor) -> Tensor:
    """‖C_s − C_t‖²_F / (4 d²) of (N, d) and (M, d) features."""
    difference = covariance(source) - covariance(target)
    return difference.square().sum() / (4 * source.shape[1] ** 2)
