"""Joint adaptation network."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .batch_precision import in_full_precision
from .mk_mmd import SCALES, mean_squared_distance, squared_mmd

SOFTMAX_SIGMA = 0.92


@dataclass(frozen=True)
class JAN(AlignmentMethod):
    """Pull the joint distributions of features and predictions together.

    weight · MMD², unbiased, with k = exp(−‖p − p'‖² / 2·0.92²) · Σ_u exp(−‖f − f'‖² / 2σ_u²);
    p are the predicted probabilities, f and σ_u as in `mk-mmd`. Long et al. 2017,
    arXiv 1605.06636. Departures: the sum over all pairs in place of the linear-time estimate,
    and the last layer's features alone.
    """

    name = "jan"
    requires = frozenset({"source", "trainable"})
    complexity = 2

    weight: float = Float(1.0, low=0.01, high=10.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _JointMmdLoss(self.weight)


class _JointMmdLoss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        distance = mean_squared_distance(source.features.detach(), target.features.detach())
        return self.weight * joint_mmd(source, target, [scale * distance for scale in SCALES])


def joint_mmd(source: Batch, target: Batch, variances: list[Tensor]) -> Tensor:
    """MMD² of (features, probabilities) pairs, with these variances of the feature kernels."""
    unit = [source.features.new_ones(())]
    pairs = [(_side_by_side(source, each), _side_by_side(target, each)) for each in variances]
    return torch.stack([squared_mmd(*pair, unit) for pair in pairs]).sum()


def _side_by_side(batch: Batch, variance: Tensor) -> Tensor:
    """[f/σ, p/0.92]: its Gaussian kernel of variance 1 is the product of the two kernels."""
    features = batch.features / variance.clamp_min(1e-12).sqrt()
    return torch.cat([features, batch.logits.softmax(1) / SOFTMAX_SIGMA], dim=1)
