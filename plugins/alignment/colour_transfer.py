"""Colour transfer."""

from dataclasses import dataclass

from torch import Tensor

from automl_xfer.components import AlignmentMethod, Float

from .pixels import change_some, random_partners, to_pixels


@dataclass(frozen=True)
class ColourTransfer(AlignmentMethod):
    """Give a source image the mean and spread of each colour of a random target image.

    x' = σ_t (x − μ_s)/σ_s + μ_t per channel, with probability `probability`, cut to 0..255. The
    statistics of adaptive instance normalisation, Huang and Belongie 2017, arXiv 1703.06868, on
    pixels in place of features; on pixels (in another colour space) by Reinhard et al. 2001.
    """

    name = "colour-transfer"
    requires = frozenset({"source", "trainable"})

    probability: float = Float(0.5, low=0.1, high=1.0)

    def transform_source(self, images: Tensor, target_images: Tensor) -> Tensor:
        partners = random_partners(images, target_images)
        recoloured = to_pixels(match_moments(images.float(), partners.float()))
        return change_some(images, recoloured, self.probability)


def match_moments(source: Tensor, target: Tensor) -> Tensor:
    """(N, 3, H, W) float pairs -> the source with the target's mean and deviation per channel."""
    pixels = (2, 3)
    centred = source - source.mean(pixels, keepdim=True)
    spread, goal = (x.std(pixels, correction=0, keepdim=True) for x in (source, target))
    return centred / spread.clamp_min(1e-6) * goal + target.mean(pixels, keepdim=True)
