"""MixStyle."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta

from automl_xfer.components import AugmentationPolicy, Float, Int

from .flip_crop import flip_crop

PROBABILITY = 0.5
EPSILON = 1e-6


@dataclass(frozen=True)
class MixStyle(AugmentationPolicy):
    """Flip and crop; behind the first stages, mix each image's feature statistics with another's.

    σ_mix (x − μ)/σ + μ_mix with σ_mix = λσ + (1−λ)σ', μ_mix = λμ + (1−λ)μ'; μ and σ per image and
    channel, σ² = variance + 1e-6, without gradient; the primed ones are those of a random partner
    in the batch; λ ~ Beta(alpha, alpha) per image. Applied with probability 0.5 behind each of the
    first `stages` stages, never behind the last. Zhou et al. 2021, arXiv 2104.02008.
    Departure: the partner comes from the same batch, which is of one domain; the paper's comes
    from another domain, or from a batch of several. Only maps (N, C, H, H) are mixed: the tokens of
    a transformer and Swin's channels-last maps would pass unchanged.
    """

    name = "mix-style"
    requires = frozenset({"trainable", "stages", "maps"})
    # What reads several stages runs the backbone by itself; FixMatch's views are weak-strong's.
    excludes = frozenset({"stage_features", "two_views"})
    complexity = 2

    alpha: float = Float(0.1, low=0.05, high=1.0, log=True)
    stages: int = Int(2, low=1, high=3)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return lambda images: flip_crop(images, image_size, self.scale_min)

    def between_stages(self, activations: Tensor, stage: int, n_stages: int) -> Tensor:
        early = stage < min(self.stages, n_stages - 1)
        is_map = activations.ndim == 4 and activations.shape[2] == activations.shape[3]
        if not (early and is_map) or float(torch.rand(())) >= PROBABILITY:
            return activations
        n = len(activations)
        share = Beta(self.alpha, self.alpha).sample((n, 1, 1, 1)).to(activations.device)
        return mix_style(activations, torch.randperm(n).to(activations.device), share)


def mix_style(activations: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Maps (N, C, H, W) whose statistics are `share` (N, 1, 1, 1) their own, else the partner's."""
    with torch.autocast(activations.device.type, enabled=False):
        x = activations.to(torch.promote_types(activations.dtype, torch.float32))
        variance, mean = torch.var_mean(x.detach(), dim=(2, 3), correction=0, keepdim=True)
        deviation = (variance + EPSILON).sqrt()
        mixed_mean = share * mean + (1 - share) * mean[partner]
        mixed_deviation = share * deviation + (1 - share) * deviation[partner]
        mixed = (x - mean) / deviation * mixed_deviation + mixed_mean
    return mixed.to(activations.dtype)
