"""ImageCache: every image decoded and resized once, for all trials, workers and later runs."""

import hashlib
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from automl_xfer.data.decode import (
    DECODER_VERSION,
    UnreadableImageError,
    decode_bytes,
    quiet_pillow,
    read_image_bytes,
)
from automl_xfer.data.image_set import ImageSet
from automl_xfer.errors import DataError

_THREADS = 2
_STALE_SECONDS = 24 * 3600.0

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


def resize_image(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """uint8 (size, size, 3): the shorter side becomes `size` (bicubic), the centre is kept.

    Nothing is cropped from the shorter side, and shapes are not distorted.
    """
    fitted = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(fitted, dtype=np.uint8)


class ImageCache:
    """Decoded images as .npy files in one folder, safe for many processes.

    A file appears under its final name only when it is complete, so whoever sees it may use it;
    two processes that make the same one do the work twice and agree.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def load(
        self,
        paths: Sequence[Path],
        size: int,
        labels: NDArray[np.int64] | None = None,
        *,
        progress: Progress | None = None,
        digests: Mapping[Path, str] | None = None,
    ) -> ImageSet:
        """The images of `paths` in order as (N, size, size, 3), from the cache where possible.

        `labels` (N,) travel with the set. `digests` are the files' SHA-256 where already known
        (`HealthReport.digests`), which spares a reading.

        Raises:
            UnreadableImageError: an image cannot be decoded, or changed since it was digested.
            DataError: there is no image, or the cache folder cannot be written.
        """
        if not paths:
            raise DataError("There is no image to load: give at least one path.")
        if labels is not None and len(labels) != len(paths):
            raise ValueError(f"{len(labels)} labels for {len(paths)} images")
        with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
            contents = _digests(pool, paths, digests or {})
            key = _key(contents, size)
            file = self.directory / f"{key}.npy"
            if not _is_whole(file, (len(paths), size, size, 3)):
                pixels = _decoded(pool, paths, contents, size, progress)
                self._publish(file, pixels, (len(paths), size, size, 3))
        if progress:
            progress(len(paths), len(paths))
        return ImageSet(file, key, labels)

    def _publish(
        self, file: Path, pixels: Iterable[NDArray[np.uint8]], shape: tuple[int, ...]
    ) -> None:
        """Write beside the final place, then rename: readers see all of it or nothing."""
        unfinished = file.with_name(f".{file.stem}.{uuid.uuid4().hex}.tmp")
        try:
            self._make_room(math.prod(shape))
            try:
                _write(unfinished, pixels, shape)
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
            _flush_folder(self.directory)
        except OSError as error:
            raise DataError(
                f"Cannot write the image cache in {self.directory} ({error.strerror or error}): "
                f"free some space or choose another folder."
            ) from error

    def _make_room(self, needed: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for left_over in self.directory.glob(".*.tmp"):  # of processes that were killed
            if time.time() - _modified(left_over) > _STALE_SECONDS:
                left_over.unlink(missing_ok=True)
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise DataError(
                f"The decoded images need {needed / 1e6:,.0f} MB in {self.directory} but only "
                f"{free / 1e6:,.0f} MB are free: free some space or choose another folder."
            )


def _digests(
    pool: ThreadPoolExecutor, paths: Sequence[Path], known: Mapping[Path, str]
) -> list[str]:
    unknown = [path for path in dict.fromkeys(paths) if path not in known]
    read = dict(zip(unknown, pool.map(_digest_file, unknown), strict=True))
    return [known.get(path) or read[path] for path in paths]


def _digest_file(path: Path) -> str:
    return _digest(read_image_bytes(path))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _key(contents: Sequence[str], size: int) -> str:
    digest = hashlib.sha256(f"{DECODER_VERSION} centre crop {size}".encode())
    for content in contents:
        digest.update(content.encode())
    return digest.hexdigest()[:32]


def _pixels(path: Path, content: str, size: int) -> NDArray[np.uint8]:
    data = read_image_bytes(path)
    if _digest(data) != content:
        raise UnreadableImageError(path, "changed while it was read; start again")
    return resize_image(decode_bytes(data, path, at_least=2 * size), size)


def _decoded(
    pool: ThreadPoolExecutor,
    paths: Sequence[Path],
    contents: Sequence[str],
    size: int,
    progress: Progress | None,
) -> Iterator[NDArray[np.uint8]]:
    """Pixels in order. A generator, so that nothing is decoded before there is room for it."""
    results = pool.map(lambda path, content: _pixels(path, content, size), paths, contents)
    with closing(results) as pixels:  # type: ignore[type-var]
        for done, image in enumerate(pixels, start=1):
            yield image
            if progress and done < len(paths):
                progress(done, len(paths))


def _write(file: Path, pixels: Iterable[NDArray[np.uint8]], shape: tuple[int, ...]) -> None:
    """Plain writes, not a memory map: a full disk is then an error, not a killed process."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with file.open("xb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for image in pixels:
            stream.write(np.ascontiguousarray(image).data)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere folders cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_whole(file: Path, shape: tuple[int, ...]) -> bool:
    """The file has the header and the length of a finished entry."""
    try:
        mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(mapped.shape == shape and mapped.dtype == np.uint8)


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # another process was faster
        return time.time()
