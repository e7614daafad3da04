"""Decode one image file to upright 8-bit RGB, or say exactly why that is impossible."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from automl_xfer.errors import DataError

DECODER_VERSION = 1
"""Raise when decoded pixels change, so that cached pixels are made anew."""

MAX_PIXELS = 100_000_000
"""Larger images are taken for decompression bombs (100 megapixels are 300 MB once decoded)."""

MAX_FILE_BYTES = 1_000_000_000

_DEFECTS: tuple[type[Exception], ...] = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError),
    *(IndexError, KeyError, OverflowError, ZeroDivisionError, RuntimeError, MemoryError),
    *(AssertionError, struct.error),
)
"""What Pillow's decoders raise on broken files."""

_SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


class UnreadableImageError(DataError):
    """One image cannot be decoded; `reason` is the cause without the path."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["UnreadableImageError"], tuple[object, str]]:
        return type(self), (self.path, self.reason)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings about odd metadata from the user; defects are still errors.

    Enter it around a whole pool, not in its threads: Python's warning filters are global.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decode_image(path: Path, *, at_least: int | None = None) -> Image.Image:
    """Read and decode a file; see `decode_bytes`.

    Raises:
        UnreadableImageError: the file is missing, empty, truncated, corrupt, no image or a bomb.
    """
    return decode_bytes(read_image_bytes(path), path, at_least=at_least)


def read_image_bytes(path: Path) -> bytes:
    """The content of a regular file that is not empty and not absurdly large."""
    try:
        if not path.is_file():
            raise UnreadableImageError(path, _why_no_file(path))
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnreadableImageError(path, "file larger than 1 GB")
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableImageError(path, f"cannot be read ({reason})") from error
    if not data:
        raise UnreadableImageError(path, "zero bytes")
    return data


def decode_bytes(data: bytes, path: object, *, at_least: int | None = None) -> Image.Image:
    """Decode an image file's content to upright RGB; `path` is for the error message.

    EXIF orientation is applied, transparency composited on white, 16-bit scaled to 8 bit over
    its full range, and of an animation the first frame taken. With `at_least`, a larger JPEG may
    be decoded at 1/2, 1/4 or 1/8 of its size, both sides still at least that many pixels.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableImageError(path, _bomb(f"{image.width} x {image.height} pixels"))
        if at_least is not None:
            image.draft(None, (at_least, at_least))  # type: ignore[arg-type]
        image.load()
        return _to_rgb(_upright(image))
    except UnreadableImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImageError(path, _bomb("too many pixels")) from error
    except UnidentifiedImageError as error:
        known = data.startswith(_SIGNATURES)
        reason = "corrupt (broken header)" if known else "not an image that can be read"
        raise UnreadableImageError(path, reason) from error
    except _DEFECTS as error:
        raise UnreadableImageError(path, _defect(error)) from error


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "a folder, not an image"
    if path.is_symlink():
        return "a symbolic link to a missing file"
    return "not a regular file" if path.exists() else "missing file"


def _bomb(size: str) -> str:
    return f"too large ({size}; the limit is {MAX_PIXELS // 1_000_000} megapixels)"


def _defect(error: Exception) -> str:
    words = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in words or "unexpected end" in words:
        return "truncated (the file ends too early)"
    return f"corrupt ({words or type(error).__name__})"


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DEFECTS:  # broken EXIF says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_8_bit(np.asarray(image)))
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Scale by the container's range, never by the image's own, so that images stay comparable."""
    values = np.nan_to_num(pixels.astype(np.float64))
    top = float(values.max(initial=0.0))
    if pixels.dtype.kind == "f":
        full = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    elif pixels.dtype.itemsize == 2 or 255 < top <= 65535:
        full = 65535.0
    else:
        full = 255.0 if top <= 255 else float(2**31 - 1)
    return np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)
