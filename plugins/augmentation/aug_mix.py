"""AugMix."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import v2

from automl_xfer.components import AugmentationPolicy, Float, Int

from .flip_crop import flip_crop
from .per_image import per_image


@dataclass(frozen=True)
class AugMix(AugmentationPolicy):
    """Flip and crop, then blend each image with a mixture of three chains of operations.

    m x + (1−m) Σ_i w_i chain_i(x), w ~ Dirichlet(1, 1, 1), m ~ Beta(1, 1), chains of 1 to 3
    operations. Hendrycks et al. 2020, arXiv 1912.02781. Departures: torchvision's wider set of
    operations, and no Jensen-Shannon term between views. `severity` on torchvision's scale.
    """

    name = "aug-mix"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    complexity = 2

    severity: int = Int(3, low=1, high=8)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        operation = per_image(v2.AugMix(severity=self.severity))
        return lambda images: operation(flip_crop(images, image_size, self.scale_min))
