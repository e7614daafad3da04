"""Colour jitter."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import v2

from automl_xfer.components import AugmentationPolicy, Float

from .flip_crop import flip_crop
from .per_image import per_image

GREY = 0.1


@dataclass(frozen=True)
class ColourJitter(AugmentationPolicy):
    """Flip and crop, then change the colours of each image; every tenth becomes grey.

    In random order: brightness, contrast and saturation times 1 ± `strength`, hue turned by up to
    ± `strength` of a circle; then greyscale with probability 0.1. Domain randomisation as in
    Gulrajani and Lopez-Paz 2021, arXiv 2007.01434 (there 0.3 for all four).
    """

    name = "colour-jitter"
    excludes = frozenset({"two_views", "randomised"})

    strength: float = Float(0.3, low=0.05, high=0.5)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        s = self.strength
        operation = per_image(v2.Compose([v2.ColorJitter(s, s, s, s), v2.RandomGrayscale(GREY)]))
        return lambda images: operation(flip_crop(images, image_size, self.scale_min))
