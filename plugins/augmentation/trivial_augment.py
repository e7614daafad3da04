"""TrivialAugment."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import v2

from automl_xfer.components import AugmentationPolicy, Float

from .flip_crop import flip_crop
from .per_image import per_image


@dataclass(frozen=True)
class TrivialAugment(AugmentationPolicy):
    """Flip and crop, then one random operation at a random strength per image.

    Müller and Hutter 2021, arXiv 2103.10158, in torchvision's wide variant.
    """

    name = "trivial-augment"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's

    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        operation = per_image(v2.TrivialAugmentWide())
        return lambda images: operation(flip_crop(images, image_size, self.scale_min))
