"""RandAugment."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import v2

from automl_xfer.components import AugmentationPolicy, Float, Int

from .flip_crop import flip_crop
from .per_image import per_image


@dataclass(frozen=True)
class RandAugment(AugmentationPolicy):
    """Flip and crop, then `num_ops` random operations of one strength per image.

    Cubuk et al. 2020, arXiv 1909.13719; `magnitude` on torchvision's scale of 0 to 30.
    """

    name = "rand-augment"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    complexity = 2

    num_ops: int = Int(2, low=1, high=3)
    magnitude: int = Int(9, low=3, high=15)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        operation = per_image(v2.RandAugment(num_ops=self.num_ops, magnitude=self.magnitude))
        return lambda images: operation(flip_crop(images, image_size, self.scale_min))
