"""Pseudo-labels."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Choice, Float

from .confidence import confident_cross_entropy

_MEMORY = 0.9  # of the classes' shares, per batch
_RAREST = 0.1  # of an equal share: no class weighs more than ten times


@dataclass(frozen=True)
class PseudoLabel(AlignmentMethod):
    """Take the model's own sure predictions on the target for labels.

    weight · α(p) · mean of 1[max p_ik > threshold] · CE(z, ŷ), ŷ = argmax z, with α growing from 0
    at a tenth of the training to 1 at six tenths. Lee 2013, Pseudo-Label (ICML workshop), which
    has no threshold. `balance` multiplies the terms by w_ŷ = 1 / (K · s_ŷ), s the running share of
    each class among all pseudo-labels and at least 1/10K: what drawing the pseudo-labelled images
    evenly by class does on average, as in RLSbench, Garg et al. 2023, arXiv 2302.03020.
    """

    name = "pseudo-label"
    requires = frozenset({"unlabelled", "trainable"})
    complexity = 2

    threshold: float = Float(0.9, low=0.5, high=0.95)
    weight: float = Float(1.0, low=0.1, high=10.0, log=True)
    balance: bool = Choice(False, (False, True))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _PseudoLabelLoss(self.threshold, self.weight, num_classes if self.balance else None)


class _PseudoLabelLoss(nn.Module):
    def __init__(self, threshold: float, weight: float, balanced_classes: int | None) -> None:
        super().__init__()
        self.threshold = threshold
        self.weight = weight
        self.shares: Tensor | None
        start = None if balanced_classes is None else torch.ones(balanced_classes)
        self.register_buffer("shares", None if start is None else start / start.sum())

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        logits, weights = target.logits, self._class_weights(target.logits)
        loss = confident_cross_entropy(logits, logits, self.threshold, weights)
        return self.weight * ramp(progress) * loss

    @torch.no_grad()
    def _class_weights(self, logits: Tensor) -> Tensor | None:
        """(K,) inverse shares, after counting this batch; None where classes are not balanced."""
        if self.shares is None:
            return None
        count = len(self.shares)
        seen = torch.bincount(logits.argmax(1), minlength=count) / len(logits)
        self.shares.lerp_(seen.to(self.shares.dtype), 1 - _MEMORY)
        return 1 / (count * self.shares).clamp_min(_RAREST)


def ramp(progress: float) -> float:
    """α: 0 until a tenth of the training, 1 from six tenths on, a line between."""
    return min(max((progress - 0.1) / 0.5, 0.0), 1.0)
