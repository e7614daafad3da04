"""One pass over the image files: digest, size and a thumbnail, or the reason it is unreadable."""

import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from automl_xfer.data.decode import (
    UnreadableImageError,
    decode_bytes,
    quiet_pillow,
    read_image_bytes,
)

THUMBNAIL = 16

_GREY_TOLERANCE = 6
"""Largest spread between colour channels of a thumbnail that JPEG makes out of pure grey."""


@dataclass(frozen=True)
class Fingerprint:
    """What the health check keeps of one readable image."""

    digest: str  # SHA-256 of the file
    width: int
    height: int
    thumbnail: NDArray[np.uint8]  # (16, 16, 3)

    @property
    def is_grey(self) -> bool:
        """No colour anywhere, whatever the file's mode."""
        channels = self.thumbnail.astype(np.int16)
        return bool(np.ptp(channels, axis=2).max() <= _GREY_TOLERANCE)


def take_fingerprints(
    paths: Sequence[Path],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Path, Fingerprint | UnreadableImageError]:
    """Fingerprint or defect of every distinct path; each file is read and decoded once."""
    distinct = list(dict.fromkeys(paths))
    found: dict[Path, Fingerprint | UnreadableImageError] = {}
    with (
        quiet_pillow(),
        ThreadPoolExecutor(workers) as pool,
        closing(pool.map(_fingerprint, distinct)) as results,  # type: ignore[type-var]
    ):
        for path, result in zip(distinct, results, strict=True):
            found[path] = result
            if progress:
                progress(len(found), len(distinct))
    return found


def _fingerprint(path: Path) -> Fingerprint | UnreadableImageError:
    try:
        data = read_image_bytes(path)
        image = decode_bytes(data, path, at_least=4 * THUMBNAIL)
        width, height = _true_size(data, image)
    except UnreadableImageError as error:
        return error
    small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    return Fingerprint(hashlib.sha256(data).hexdigest(), width, height, np.asarray(small))


def _true_size(data: bytes, image: Image.Image) -> tuple[int, int]:
    """Width and height of the upright image, before a JPEG was decoded at reduced size."""
    with Image.open(io.BytesIO(data)) as header:
        width, height = header.size
    turned = (width > height) != (image.width > image.height)
    return (height, width) if turned else (width, height)
