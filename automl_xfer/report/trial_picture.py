"""A trial's confusion matrix as a PNG, for the dashboard.

Drawn with Pillow: one is made after every trial, and Matplotlib takes longer than some trials do.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_MOST_NAMES = 30
_SIDE = 480  # pixels of the matrix, about
_SMALLEST_CELL, _LARGEST_CELL = 1, 64
_GAP = 8
_DARK, _LIGHT, _WHITE = (8, 48, 107), (107, 174, 214), (255, 255, 255)
_LONGEST_NAME = 24  # characters
_FILE = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
_FONT, _SMALL = ImageFont.truetype(_FILE, 13), ImageFont.truetype(_FILE, 10)


def write_confusion_picture(
    matrix: NDArray[np.int64], classes: Sequence[str], title: str, path: Path
) -> Path:
    """Draw (K, K) counts, rows true and columns predicted, shaded by share of the row."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    cell = min(max(_SIDE // len(matrix), _SMALLEST_CELL), _LARGEST_CELL)
    shaded = Image.fromarray(_shade(shares)).resize(
        (cell * len(matrix), cell * len(matrix)), Image.Resampling.NEAREST
    )
    names = [_shortened(name) for name in classes] if len(classes) <= _MOST_NAMES else []
    if names:
        _write_counts(shaded, matrix, shares, cell)
    picture = _with_margins(shaded, names, title, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, compress_level=1)  # the best one takes as long as the drawing
    return path


def _shortened(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _shade(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(K, K, 3) colours from white over light to dark blue."""
    points = np.array([_WHITE, _LIGHT, _DARK], float).T
    channels = [np.interp(shares, (0.0, 0.5, 1.0), values) for values in points]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _write_counts(
    image: Image.Image, matrix: NDArray[np.int64], shares: NDArray[np.float64], cell: int
) -> None:
    draw = ImageDraw.Draw(image)
    for row, column in np.argwhere(matrix):
        centre = ((column + 0.5) * cell, (row + 0.5) * cell)
        colour = "white" if shares[row, column] > 0.4 else "black"
        draw.text(centre, str(matrix[row, column]), colour, _SMALL, anchor="mm")


def _with_margins(matrix: Image.Image, names: list[str], title: str, cell: int) -> Image.Image:
    """The matrix with its title, the names of the classes and those of its two sides."""
    line = int(_FONT.size) + _GAP
    names_side = int(max((_FONT.getlength(name) for name in names), default=0))
    left, top = names_side + line + 2 * _GAP, line + _GAP
    width = left + max(matrix.width, int(_FONT.getlength(title))) + _GAP
    height = top + matrix.height + names_side + line + 2 * _GAP
    picture = Image.new("RGB", (width, height), "white")
    picture.paste(matrix, (left, top))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, left + matrix.width, top + matrix.height), outline="gray")
    draw.text((left, _GAP), title, "black", _FONT)
    middle = left + matrix.width / 2
    draw.text((middle, height - _GAP), "predicted", "black", _FONT, anchor="md")
    _write_upwards(picture, "true", _GAP, top + matrix.height / 2, "middle")
    for position, name in enumerate(names):
        centre = (position + 0.5) * cell
        draw.text((left - _GAP, top + centre), name, "black", _FONT, anchor="rm")
        x = int(left + centre - _FONT.size / 2)
        _write_upwards(picture, name, x, top + matrix.height + _GAP, "top")
    return picture


def _write_upwards(picture: Image.Image, text: str, x: int, y: float, anchor: str) -> None:
    """Write from below to above, with the column's left edge at x."""
    length, height = int(_FONT.getlength(text)) + 1, int(_FONT.size) + 4
    written = Image.new("RGB", (length, height), "white")
    ImageDraw.Draw(written).text((0, height / 2), text, "black", _FONT, anchor="lm")
    turned = written.rotate(90, expand=True)
    picture.paste(turned, (x, int(y if anchor == "top" else y - turned.height / 2)))
