"""Progressive resizing."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from automl_xfer.components import AugmentationPolicy, Choice, Float

from .flip_crop import flip_crop

SIZES = 3
"""So many sizes, each for as many epochs, come before the whole one."""

STEP, LEAST = 16, 32
"""Sides are multiples of STEP pixels; most networks shrink an image by LEAST in all."""

GROWING = 0.7
"""Share of the epochs that trains on growing images; the rest sees them as they are predicted."""


@dataclass(frozen=True)
class ProgressiveResizing(AugmentationPolicy):
    """Flip and crop to small images that grow to their full size with the epochs.

    The image size as a fidelity: an epoch costs as the square of the side, and early ones are those
    after which a trial may be given up. Tan and Le 2021, arXiv 2104.00298, without the growing
    augmentation.
    """

    name = "progressive-resizing"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    complexity = 2

    smallest: float = Choice(0.6, (0.45, 0.6, 0.75))
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return lambda images: flip_crop(images, image_size, self.scale_min)

    def training_size(self, image_size: int, progress: float) -> int:
        if progress >= GROWING:
            return image_size
        place = int(SIZES * progress / GROWING) / SIZES
        share = self.smallest + (1 - self.smallest) * place
        return min(max(round(share * image_size / STEP) * STEP, LEAST), image_size)
