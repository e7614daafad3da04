"""Decoded images as tensors on the device that computes."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.parts import Part

_RESIDENT_SHARE = 0.1
"""A set's images stay on a GPU if they take no more of its free memory: training needs the rest."""


def to_tensor(pixels: NDArray[np.uint8], device: str) -> Tensor:
    """uint8 (N, H, W, 3) array -> uint8 (N, 3, H, W) tensor in channels-last memory.

    A GPU fetches them from pinned memory by itself while it still computes on those before.
    """
    made = torch.from_numpy(np.ascontiguousarray(pixels))
    if device.startswith("cuda"):
        made = made.pin_memory().to(device, non_blocking=True)
    return made.permute(0, 3, 1, 2)


def stays_on_device(image_set: ImageSet, device: str) -> bool:
    """Whether a GPU has room to keep all images of a set; a CPU reads them from their file."""
    if not device.startswith("cuda"):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return image_set.images.nbytes <= _RESIDENT_SHARE * free


def read_pixels(image_set: ImageSet, rows: NDArray[np.int64], device: str) -> Tensor:
    """uint8 (N, 3, H, W) images at `rows` of a set, in channels-last memory."""
    return to_tensor(image_set.images[rows], device)


def pixel_batches(part: Part, size: int, device: str) -> Iterator[Tensor]:
    """uint8 batches (N, 3, H, W) of a part, in its order."""
    for start in range(0, len(part), size):
        yield read_pixels(part.image_set, part.indices[start : start + size], device)
