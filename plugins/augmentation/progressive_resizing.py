"""Progressive resizing."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from automl_xfer.components import AugmentationPolicy, Choice, Float

from .flip_crop import flip_crop

STEP = 32
"""Sides grow by so many pixels: by so much the stages of most networks shrink an image in all."""

GROWING = 0.7
"""Share of the epochs that trains on growing images; the rest sees them as they are predicted."""


@dataclass(frozen=True)
class ProgressiveResizing(AugmentationPolicy):
    """Flip and crop to small images that grow to their full size with the epochs.

    The image size as a fidelity: early epochs, after which much is given up, cost a third to a half
    of a late one. Tan and Le 2021, arXiv 2104.00298, without the growing augmentation.
    """

    name = "progressive-resizing"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    complexity = 2

    smallest: float = Choice(0.6, (0.45, 0.6, 0.75))
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return lambda images: flip_crop(images, image_size, self.scale_min)

    def training_size(self, image_size: int, progress: float) -> int:
        share = self.smallest + (1 - self.smallest) * min(progress / GROWING, 1.0)
        side = round(share * image_size / STEP) * STEP
        return min(max(side, STEP), image_size) if progress < GROWING else image_size
