"""Minimum class confusion."""

from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .batch_precision import in_full_precision
from .certainty import certainty


@dataclass(frozen=True)
class MinimumClassConfusion(AlignmentMethod):
    """Make the target's predictions confuse fewer classes with each other.

    weight · (Σ C − tr C) / K with C = (w ∘ p)ᵀ p, each row divided by its sum;
    p = softmax(z / T) of the target's batch and w = 1 + e^(−H(p)), held constant.
    Jin et al. 2020, arXiv 1912.03699. It needs a batch of at least as many images as classes, for
    fewer cannot show every class, and is therefore only offered where the classes are few.
    """

    name = "mcc"
    requires = frozenset({"unlabelled", "trainable", "few_classes"})
    complexity = 2

    weight: float = Float(1.0, low=0.05, high=5.0, log=True)
    temperature: float = Float(2.5, low=1.0, high=5.0)

    def least_target_batch(self, num_classes: int) -> int:
        return max(36, num_classes)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _ConfusionLoss(self.weight, self.temperature)


class _ConfusionLoss(nn.Module):
    def __init__(self, weight: float, temperature: float) -> None:
        super().__init__()
        self.weight = weight
        self.temperature = temperature

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        scaled = target.logits / self.temperature
        weights = certainty(scaled.detach().softmax(1))
        return self.weight * class_confusion(scaled, weights)


def class_confusion(logits: Tensor, weights: Tensor) -> Tensor:
    """(Σ C − tr C) / K of logits (N, K) and sample weights (N,).

    A row of C divided by its sum adds up to 1, and row i's diagonal entry is then the mean of
    p_ni weighted by w_n p_ni: the softmax over the samples of log w_n + log p_ni, which stays
    finite for a class that nobody predicts.
    """
    share = (logits.log_softmax(1) + weights.log()[:, None]).softmax(0)
    return 1 - (share * logits.softmax(1)).sum(0).mean()
