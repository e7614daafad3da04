"""Multi-kernel maximum mean discrepancy."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .precision import full_precision

SCALES = (0.125, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class MultiKernelMMD(AlignmentMethod):
    """Pull the distributions of source and target features together (the loss of DAN).

    weight · MMD², unbiased, with k(x, y) = Σ_u exp(−‖x − y‖² / 2σ_u²) and σ_u² = α_u times the
    mean squared distance between two samples of the joint batch, held constant in the gradient;
    α = 2^−3 .. 2^1. Long et al. 2015, arXiv 1502.02791. Departures: the kernels have equal
    weights, and the features are the last layer's alone.
    """

    name = "mk-mmd"
    requires = frozenset({"source", "trainable"})
    complexity = 2

    weight: float = Float(1.0, low=0.01, high=10.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _MmdLoss(self.weight)


class _MmdLoss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        return self.weight * multi_kernel_mmd(source.features, target.features)


@full_precision
def multi_kernel_mmd(source: Tensor, target: Tensor) -> Tensor:
    """MMD² of (N, D) and (M, D) features with the bandwidths of their joint batch."""
    mean_distance = mean_squared_distance(source.detach(), target.detach())
    return squared_mmd(source, target, [scale * mean_distance for scale in SCALES])


def mean_squared_distance(source: Tensor, target: Tensor) -> Tensor:
    """Mean of ‖x − y‖² over all pairs of different samples of (N, D) and (M, D) together."""
    both = torch.cat([source, target])
    return _squared_distances(both, both).sum() / max(len(both) * (len(both) - 1), 1)


def squared_mmd(source: Tensor, target: Tensor, variances: list[Tensor]) -> Tensor:
    """Σ K_ss/(n(n−1)) + Σ K_tt/(m(m−1)) − 2 Σ K_st/(nm), i ≠ j within a domain.

    A domain of one sample has no such pair; its term is then 0.
    """
    between = _kernel(source, target, variances).mean()
    return _within(source, variances) + _within(target, variances) - 2 * between


def _within(features: Tensor, variances: list[Tensor]) -> Tensor:
    kernel = _kernel(features, features, variances)
    n = len(features)
    return (kernel.sum() - kernel.diagonal().sum()) / max(n * (n - 1), 1)


def _kernel(left: Tensor, right: Tensor, variances: list[Tensor]) -> Tensor:
    distances = _squared_distances(left, right)
    terms = [torch.exp(-distances / (2 * value.clamp_min(1e-12))) for value in variances]
    return torch.stack(terms).sum(0)


def _squared_distances(left: Tensor, right: Tensor) -> Tensor:
    lengths = left.square().sum(1)[:, None] + right.square().sum(1)[None]
    return (lengths - 2 * left @ right.T).clamp_min(0)
