"""Apply torchvision's transforms, which draw once per call, to each image of a batch."""

from collections.abc import Callable

import torch
from torch import Tensor


def per_image(transform: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A callable on (N, 3, H, W) that draws anew for every image."""
    return lambda images: torch.stack([transform(image) for image in images])
