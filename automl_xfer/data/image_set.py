"""ImageSet: decoded images of one role, on disk, cheap to hand to another process."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageSet:
    """Images decoded once: a read-only memory map and, where they exist, integer labels.

    `key` is a digest of the pixels' origin (file contents, order, size, decoder version): equal
    keys mean equal images. `labels` index the study's sorted class names.
    """

    path: Path  # .npy of uint8 (N, size, size, 3)
    key: str
    labels: NDArray[np.int64] | None = None

    @property
    def images(self) -> NDArray[np.uint8]:
        """uint8 (N, size, size, 3), memory-mapped read-only."""
        mapped: NDArray[np.uint8] = np.load(self.path, mmap_mode="r")
        return mapped

    def __len__(self) -> int:
        return _count(self.path, self.path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _count(path: Path, written: int) -> int:
    """Images in a file that was written then: asked so often that opening it each time shows."""
    return int(np.load(path, mmap_mode="r").shape[0])
