"""Adaptive feature norm."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .batch_precision import in_full_precision

STEP = 1.0


@dataclass(frozen=True)
class AdaptiveFeatureNorm(AlignmentMethod):
    """Lengthen the features of both domains step by step (stepwise AFN).

    weight · [mean (‖f_s‖ − r_s)² + mean (‖f_t‖ − r_t)²], with r = ‖f‖ + 1 held constant: the
    value is constant, the gradient pulls every feature outwards. Xu et al. 2019,
    arXiv 1811.07456. The paper's step Δ = 1 is no parameter, for the gradient depends on
    weight · Δ alone.
    """

    name = "afn"
    requires = frozenset({"source", "trainable"})
    provides = frozenset({"feature_length"})
    complexity = 2

    weight: float = Float(0.05, low=0.005, high=0.5, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _FeatureNormLoss(self.weight)


class _FeatureNormLoss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        return self.weight * (_lengthening(source.features) + _lengthening(target.features))


def _lengthening(features: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(features, dim=1)
    return (norms - (norms.detach() + STEP)).square().mean()
