"""Margin disparity discrepancy."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from automl_xfer.components import AlignmentMethod, Batch, Choice, Float

from .batch_precision import in_full_precision
from .gradient_reversal import reversal_strength, reverse_gradient


@dataclass(frozen=True)
class MarginDisparity(AlignmentMethod):
    """Learn features on which no second classifier agrees on the source and differs on the target.

    γ · CE(f'(s), h_s) − log(1 − p_f'(t)[h_t]), means over the batches, with h the class that the
    head predicts and f' a classifier of one hidden layer. f' minimises this; the gradient that
    reaches the features is multiplied by −reversal · λ(p), λ as in `dann`. Zhang et al. 2019,
    arXiv 1904.05801. Departures: no bottleneck and no dropout, and λ is DANN's ramp.
    """

    name = "mdd"
    requires = frozenset({"source", "trainable"})
    complexity = 3

    reversal: float = Float(0.1, low=0.01, high=1.0, log=True)
    margin: float = Choice(4.0, (2.0, 3.0, 4.0))
    hidden: int = Choice(256, (64, 256, 1024))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        second = nn.Sequential(
            nn.Linear(feature_dim, self.hidden), nn.ReLU(), nn.Linear(self.hidden, num_classes)
        )
        return _DisparityLoss(second, self.margin, self.reversal)


class _DisparityLoss(nn.Module):
    def __init__(self, second: nn.Module, margin: float, reversal: float) -> None:
        super().__init__()
        self.second = second
        self.margin = margin
        self.reversal = reversal

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        strength = self.reversal * reversal_strength(progress)
        on_source, on_target = (
            self.second(reverse_gradient(batch.features, strength)) for batch in (source, target)
        )
        agreement = cross_entropy(on_source, source.logits.argmax(1))
        difference = difference_loss(on_target, target.logits.argmax(1))
        return self.margin * agreement + difference


def difference_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Mean of −log(1 − p[class]): logits (N, K), classes (N,); small where p differs.

    −log(1 − p_h) = log Σ_j e^(z_j) − log Σ_(j≠h) e^(z_j), which stays finite as p_h -> 1.
    """
    named = one_hot(classes, logits.shape[1]).bool()
    others = logits.masked_fill(named, -torch.inf)
    return (logits.logsumexp(1) - others.logsumexp(1)).mean()
