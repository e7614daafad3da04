"""Deep joint distribution optimal transport."""

from dataclasses import dataclass

import ot
import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .batch_precision import in_full_precision


@dataclass(frozen=True)
class DeepJDOT(AlignmentMethod):
    """Transport labelled source images to target images that look alike and are classified alike.

    weight · Σ_ij γ_ij c_ij with c_ij = alpha · ‖f_i − f_j‖² / m + CE(y_i, z_j) and γ the plan of
    least cost between the batches, all images equally heavy, held constant in the gradient.
    Damodaran et al. 2018, arXiv 1803.10081. Departure: m, the mean ‖f_i − f_j‖² of the
    first source and target batch, so that alpha means the same for every backbone. Plan by POT.
    """

    name = "deep-jdot"
    requires = frozenset({"source", "trainable"})
    complexity = 3

    weight: float = Float(0.3, low=0.01, high=3.0, log=True)
    alpha: float = Float(1.0, low=0.03, high=3.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _TransportLoss(self.weight, self.alpha)


class _TransportLoss(nn.Module):
    def __init__(self, weight: float, alpha: float) -> None:
        super().__init__()
        self.weight = weight
        self.alpha = alpha
        self.scale: Tensor
        self.register_buffer("scale", torch.zeros(()))  # 0: not measured yet

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        if self.scale == 0:  # never again: a pull that grows as features shrink collapses them
            distances = ot.dist(source.features.detach(), target.features.detach())
            self.scale = distances.mean().clamp_min(1e-12)
        cost = joint_cost(source, target, self.alpha / self.scale)
        return self.weight * (transport_plan(cost) * cost).sum()


def joint_cost(source: Batch, target: Batch, alpha: Tensor | float) -> Tensor:
    """Cost (N, M) of labelled source for target samples: alpha · ‖f_i − f_j‖² + CE(y_i, z_j)."""
    assert source.labels is not None
    distances: Tensor = ot.dist(source.features, target.features, metric="sqeuclidean")
    surprise = -source.labels.to(distances.dtype) @ target.logits.log_softmax(1).T
    return alpha * distances + surprise


def transport_plan(cost: Tensor) -> Tensor:
    """The (N, M) plan of least cost, rows summing to 1/N and columns to 1/M; no gradient."""
    plan: Tensor = ot.emd([], [], cost.detach())
    return plan
