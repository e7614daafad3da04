"""Fourier domain adaptation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from automl_xfer.components import AlignmentMethod, Float

from .pixels import random_partners, to_pixels


@dataclass(frozen=True)
class FourierDomainAdaptation(AlignmentMethod):
    """Give each source image the low-frequency amplitudes of a random target image.

    x' = F⁻¹(A e^(iφ_s)) per channel, with A = |F x_t| where both frequencies are at most
    ⌊beta · min(H, W)⌋ in absolute value, |F x_s| elsewhere, and φ_s the source's phase. Yang and
    Soatto 2020, arXiv 2004.05498; without the paper's entropy loss and its mean over three betas.
    """

    name = "fda"
    requires = frozenset({"source", "trainable"})

    beta: float = Float(0.01, low=0.01, high=0.09, log=True)

    def transform_source(self, images: Tensor, target_images: Tensor) -> Tensor:
        partners = random_partners(images, target_images)
        return to_pixels(swap_amplitudes(images.float(), partners.float(), self.beta))


def swap_amplitudes(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """(N, 3, H, W) float pairs -> the source with the target's low-frequency amplitudes."""
    height, width = source.shape[-2:]
    spectrum, other = torch.fft.rfft2(source), torch.fft.rfft2(target)
    most = int(beta * min(height, width))
    rows = torch.fft.fftfreq(height, 1 / height, device=source.device).abs() <= most
    columns = torch.fft.rfftfreq(width, 1 / width, device=source.device) <= most
    swapped = torch.polar(other.abs(), spectrum.angle())
    mixed = torch.where(rows[:, None] & columns, swapped, spectrum)
    return torch.fft.irfft2(mixed, s=(height, width))
