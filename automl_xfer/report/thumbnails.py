"""Small pictures inside the report."""

import base64
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

_MAX_PIXELS = 64_000_000


def thumbnail(path: str | Path, size: int = 96) -> str | None:
    """The image at `path` as a JPEG data URI of at most `size` x `size` pixels.

    None when the file is missing, unreadable or larger than 64 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _encode(_open(path, size))
    # Decoders raise errors of many kinds on broken files, and a report must not fail over one.
    except Exception:
        return None


def _open(path: str | Path, size: int) -> Image.Image:
    with Image.open(path) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError("too large for a thumbnail")
        image.draft("RGB", (2 * size, 2 * size))
        small = ImageOps.exif_transpose(_in_colour(image))
        small.thumbnail((size, size))
        return small


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit greyscale: convert() alone would clip it to white
        image = image.point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return image.convert("RGB")


def _encode(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
