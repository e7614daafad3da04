"""A weak and a strong view of the same image."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import v2

from automl_xfer.components import AugmentationPolicy, Float, Int

from .flip_crop import flip_crop
from .per_image import per_image

GREY = 127
SMALLEST_HOLE = 0.02


@dataclass(frozen=True)
class WeakStrong(AugmentationPolicy):
    """Flip and crop as the weak view; for the strong one RandAugment and a grey square besides.

    The square (cutout, DeVries and Taylor 2017, arXiv 1708.04552) covers 0.02 to `hole` of the
    area. The pair of views is FixMatch's: Sohn et al. 2020, arXiv 2001.07685, whose cutout has up
    to a quarter of the area and whose operations have random magnitudes; here they have one.
    """

    name = "weak-strong"
    requires = frozenset({"trainable", "two_views"})
    complexity = 2

    num_ops: int = Int(2, low=1, high=3)
    magnitude: int = Int(9, low=3, high=15)
    hole: float = Float(0.25, low=0.05, high=0.4)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return lambda images: flip_crop(images, image_size, self.scale_min)

    def strong(self, image_size: int) -> Callable[[Tensor], Tensor]:
        vary = v2.RandAugment(num_ops=self.num_ops, magnitude=self.magnitude)
        cut = v2.RandomErasing(1.0, scale=(SMALLEST_HOLE, self.hole), ratio=(1.0, 1.0), value=GREY)
        operation = per_image(v2.Compose([vary, cut]))
        return lambda images: operation(flip_crop(images, image_size, self.scale_min))
