"""Conditional domain-adversarial training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from automl_xfer.components import AlignmentMethod, Batch, Choice, Float

from .batch_precision import in_full_precision
from .certainty import certainty
from .domain_discriminator import domain_discriminator
from .gradient_reversal import reversal_strength, reverse_gradient

LARGEST_PRODUCT = 4096
PROJECTED = 1024


@dataclass(frozen=True)
class CDAN(AlignmentMethod):
    """Fool a discriminator that sees the features together with the predicted class (CDAN+E).

    weight · ½[mean w_s BCE(D(f_s ⊗ g_s), 1) + mean w_t BCE(D(f_t ⊗ g_t), 0)], with g the
    predicted probabilities, held constant, and w = 1 + e^(−H(g)) divided by its mean over the
    domain's batch; gradients are reversed as in `dann`. Above 4096 products f ⊗ g becomes
    (R_f f) ⊙ (R_g g) / √1024 with fixed normal matrices of 1024 rows. Long et al. 2018,
    arXiv 1705.10667.
    """

    name = "cdan"
    requires = frozenset({"source", "trainable"})
    complexity = 3

    weight: float = Float(1.0, low=0.05, high=5.0, log=True)
    hidden: int = Choice(256, (64, 256, 1024))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _ConditionalLoss(feature_dim, num_classes, self.hidden, self.weight)


class _ConditionalLoss(nn.Module):
    def __init__(self, feature_dim: int, num_classes: int, hidden: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        products = feature_dim * num_classes
        large = products > LARGEST_PRODUCT
        self.product = RandomProduct(feature_dim, num_classes) if large else OuterProduct()
        self.discriminator = domain_discriminator(PROJECTED if large else products, hidden)

    @in_full_precision
    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        strength = reversal_strength(progress)
        losses = [
            self._domain_loss(batch, domain, strength)
            for batch, domain in ((source, 1.0), (target, 0.0))
        ]
        return self.weight * torch.stack(losses).mean()

    def _domain_loss(self, batch: Batch, domain: float, strength: float) -> Tensor:
        predicted = batch.logits.detach().softmax(1)
        joint = self.product(reverse_gradient(batch.features, strength), predicted)
        scores = self.discriminator(joint).squeeze(1)
        weights = certainty(predicted)
        return binary_cross_entropy_with_logits(
            scores, torch.full_like(scores, domain), weight=weights / weights.mean()
        )


class OuterProduct(nn.Module):
    """All products of a feature and a probability: (N, D), (N, K) -> (N, D·K)."""

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        return (features[:, :, None] * probabilities[:, None]).flatten(1)


class RandomProduct(nn.Module):
    """(R_f f) ⊙ (R_g g) / √d: (N, D), (N, K) -> (N, d).

    Its inner products are, on average over the fixed matrices, those of the outer product.
    """

    def __init__(self, feature_dim: int, num_classes: int, width: int = PROJECTED) -> None:
        super().__init__()
        self.of_features: Tensor
        self.of_classes: Tensor
        self.register_buffer("of_features", torch.randn(feature_dim, width))
        self.register_buffer("of_classes", torch.randn(num_classes, width))

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        product = (features @ self.of_features) * (probabilities @ self.of_classes)
        return product / product.shape[1] ** 0.5
