"""Random crop and flip."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from automl_xfer.components import AugmentationPolicy, Float

MAX_RATIO = 4 / 3


@dataclass(frozen=True)
class FlipCrop(AugmentationPolicy):
    """Cut a random box out of each image, stretch it to full size, and mirror every other one.

    The box covers `scale_min` to 1 of the area, its sides' ratio lies within 3/4..4/3 (Szegedy et
    al. 2015, arXiv 1409.4842). Whole batches at a time, on the device where they are.
    """

    name = "flip-crop"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's

    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        def crop(images: Tensor) -> Tensor:
            return flip_crop(images, image_size, self.scale_min)

        return crop


def flip_crop(images: Tensor, image_size: int, scale_min: float) -> Tensor:
    """uint8 (N, 3, H, W) -> uint8 (N, 3, image_size, image_size), a box per image, bilinear."""
    n = len(images)
    width, height = _box_sizes(n, scale_min)
    mirror = 1 - 2 * torch.randint(2, (n,))
    boxes = torch.zeros(n, 2, 3)  # output -> input, both in -1..1
    boxes[:, 0, 0], boxes[:, 0, 2] = width * mirror, (1 - width) * _between(n, -1, 1)
    boxes[:, 1, 1], boxes[:, 1, 2] = height, (1 - height) * _between(n, -1, 1)
    grid = affine_grid(boxes, [n, 3, image_size, image_size], align_corners=False)
    cut = grid_sample(
        images.float(), grid.to(images.device), padding_mode="border", align_corners=False
    )
    return cut.round_().to(torch.uint8)


def _box_sizes(n: int, scale_min: float) -> tuple[Tensor, Tensor]:
    """Width and height of n boxes as shares of the image, each at most 1."""
    area = _between(n, scale_min, 1)
    limit = math.log(MAX_RATIO)
    # A ratio beyond 1/area would leave the image.
    ratio = torch.exp(_between(n, -1, 1) * torch.minimum(-area.log(), torch.tensor(limit)))
    return (area * ratio).sqrt(), (area / ratio).sqrt()


def _between(n: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(n)
