"""Domain-adversarial training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from automl_xfer.components import AlignmentMethod, Batch, Choice, Float

from .domain_discriminator import domain_discriminator
from .gradient_reversal import reversal_strength, reverse_gradient


@dataclass(frozen=True)
class DANN(AlignmentMethod):
    """Learn features from which a discriminator cannot tell the domains apart.

    weight · ½[BCE(D(f_s), 1) + BCE(D(f_t), 0)]; the gradient that reaches the features is
    multiplied by −λ, λ = 2/(1 + e^(−10 p)) − 1 with p the progress 0..1. Ganin et al. 2016,
    arXiv 1505.07818. The discriminator has two hidden layers with ReLU, as in the paper.
    """

    name = "dann"
    requires = frozenset({"source", "trainable"})
    complexity = 3

    weight: float = Float(1.0, low=0.05, high=5.0, log=True)
    hidden: int = Choice(256, (64, 256, 1024))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _AdversarialLoss(feature_dim, self.hidden, self.weight)


class _AdversarialLoss(nn.Module):
    def __init__(self, feature_dim: int, hidden: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.discriminator = domain_discriminator(feature_dim, hidden)

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        strength = reversal_strength(progress)
        losses = [
            self._domain_loss(reverse_gradient(batch.features, strength), domain)
            for batch, domain in ((source, 1.0), (target, 0.0))
        ]
        return self.weight * torch.stack(losses).mean()

    def _domain_loss(self, features: Tensor, domain: float) -> Tensor:
        scores = self.discriminator(features)
        return binary_cross_entropy_with_logits(scores, torch.full_like(scores, domain))
