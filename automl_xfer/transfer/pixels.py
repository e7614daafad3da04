"""Decoded images as tensors on the device that computes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.parts import Part

_RESIDENT_SHARE = 0.25
"""A set of images stays on a GPU if it takes no more than this of the memory that is free."""


def to_tensor(pixels: NDArray[np.uint8], device: str) -> Tensor:
    """uint8 (N, H, W, 3) array -> uint8 (N, 3, H, W) tensor in channels-last memory."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)


def read_pixels(image_set: ImageSet, rows: NDArray[np.int64], device: str) -> Tensor:
    """uint8 (N, 3, H, W) images at `rows` of a set, in channels-last memory.

    A GPU keeps the whole set where it fits. Where it does not, it fetches the images from pinned
    memory by itself while it still computes on those before.
    """
    if not device.startswith("cuda"):
        return to_tensor(image_set.images[rows], device)
    resident = resident_images(image_set.path, device, torch.cuda.mem_get_info(device)[0])
    if resident is not None:
        return resident[torch.from_numpy(rows).to(device)].permute(0, 3, 1, 2)
    pinned = torch.from_numpy(np.ascontiguousarray(image_set.images[rows])).pin_memory()
    return pinned.to(device, non_blocking=True).permute(0, 3, 1, 2)


def pixel_batches(part: Part, size: int, device: str) -> Iterator[Tensor]:
    """uint8 batches (N, 3, H, W) of a part, in its order."""
    for start in range(0, len(part), size):
        yield read_pixels(part.image_set, part.indices[start : start + size], device)


_resident: dict[tuple[Path, str], Tensor | None] = {}


def resident_images(path: Path, device: str, free: int) -> Tensor | None:
    """uint8 (N, H, W, 3) images of a file on the device; None if they do not fit `free` bytes.

    Asked once for each file: what is free later depends on what trains.
    """
    if (path, device) not in _resident:
        images = np.load(path, mmap_mode="r")
        fits = images.nbytes <= _RESIDENT_SHARE * free
        _resident[path, device] = torch.from_numpy(np.array(images)).to(device) if fits else None
    return _resident[path, device]
