"""Demo data without a download: handwritten digits as target, digits drawn from fonts as source."""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits

from automl_xfer.errors import DataError

SIZE = 32
_CANVAS = 4 * SIZE
_COARSE = 8  # scikit-learn's digits are 8 x 8 counts of ink, 0..16
_INK_LEVELS = 16

TRAIN_PER_CLASS = 5
UNLABELLED = 500
TEST = 500
SOURCE_PER_CLASS = 150

_FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("DejaVuSansMono", "DejaVuSansMono-Oblique", "cmr10", "cmss10", "cmtt10"),
    *("STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol"),
)

Drawing = tuple[str, Image.Image, str, str]
"""File name, image, label (empty when unlabelled), split."""


@dataclass(frozen=True)
class DemoPaths:
    """Where the demo's files are. Paths in `target_csv` are relative to it."""

    target_csv: Path  # image,label,domain,split: the target's rows and the source's
    handwritten: Path  # folder of target images; their names do not tell their labels
    fonts: Path  # folder of source images


def write_demo_data(directory: Path, seed: int = 0) -> DemoPaths:
    """Write the demo task into `directory`: 32 px greyscale PNG files and one CSV.

    The target is scikit-learn's copy of the UCI handwritten digits: 5 labelled images per class,
    500 unlabelled, 500 for the test. The source is 150 digits per class drawn from fonts that come
    with matplotlib. The same seed writes the same bytes; files that are right already stay as
    they are. Raises DataError where the folder cannot be written.
    """
    paths = DemoPaths(directory / "task.csv", directory / "handwritten", directory / "fonts")
    try:
        _write_task(paths, seed)
    except OSError as error:
        raise DataError(
            f"The demo's images cannot be written to {directory} ({error.strerror}): "
            "name another folder with --studies-dir, or free some space."
        ) from error
    return paths


def _write_task(paths: DemoPaths, seed: int) -> None:
    rows: list[tuple[str, ...]] = []
    for folder, samples in (
        (paths.handwritten, _handwritten(np.random.default_rng(seed))),
        (paths.fonts, _drawn(np.random.default_rng([seed, 1]))),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for name, image, label, split in samples:
            _write(folder / name, _png(image))
            rows.append((f"{folder.name}/{name}", label, folder.name, split))
    _write(paths.target_csv, _csv(rows))


def _handwritten(rng: np.random.Generator) -> Iterator[Drawing]:
    """The target's images in a random order, a few of each class labelled."""
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    train = {
        int(index)
        for digit in range(10)
        for index in order[digits.target[order] == digit][:TRAIN_PER_CLASS]
    }
    rest = [int(index) for index in order if int(index) not in train]
    splits = {
        "train": [int(index) for index in order if int(index) in train],
        "unlabelled": rest[:UNLABELLED],
        "test": rest[UNLABELLED : UNLABELLED + TEST],
    }
    for split, chosen in splits.items():
        for index in chosen:
            label = "" if split == "unlabelled" else str(digits.target[index])
            yield f"{index:04d}.png", _enlarge(digits.images[index]), label, split


def _drawn(rng: np.random.Generator) -> Iterator[Drawing]:
    """The source's images, class by class."""
    faces = _faces()
    for digit in "0123456789":
        for index in range(SOURCE_PER_CLASS):
            face = faces[int(rng.integers(len(faces)))]
            yield f"{digit}-{index:03d}.png", _draw(digit, face, rng), digit, "source"


def _faces() -> list[Path]:
    """The font files that matplotlib ships, so that none need be installed."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [folder / f"{name}.ttf" for name in _FONTS if (folder / f"{name}.ttf").exists()]


def _draw(digit: str, face: Path, rng: np.random.Generator) -> Image.Image:
    """One digit, light on dark, distorted, and as coarse as the handwritten ones."""
    font = ImageFont.truetype(face, int(rng.integers(84, 124)))
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(canvas).text(
        (_CANVAS / 2, _CANVAS / 2),
        digit,
        fill=255,
        font=font,
        anchor="mm",
        stroke_width=int(rng.integers(0, 4)),
    )
    distorted = _distort(canvas, rng)
    blurred = distorted.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, 4.0))))
    ink = np.asarray(blurred.resize((_COARSE, _COARSE), Image.Resampling.BOX), np.float64)
    ink *= _INK_LEVELS * rng.uniform(1.0, 1.6) / ink.max()
    ink += rng.normal(0.0, 0.7, ink.shape) * (ink > 0)
    return _enlarge(np.clip(ink, 0, _INK_LEVELS))


def _distort(canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Rotate, shear, squeeze and shift about the centre of the inked box."""
    left, top, right, bottom = canvas.getbbox() or (0, 0, *canvas.size)
    angle, shear = math.radians(rng.uniform(-10, 10)), rng.uniform(-0.15, 0.45)
    # The handwritten digits were cut to their own height, so the drawn ones nearly fill theirs.
    height = (bottom - top) / (_CANVAS * rng.uniform(0.86, 1.04))
    width = height * rng.uniform(1.0, 1.5)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.array([[width, shear * height], [0.0, height]])
    shifted = np.full(2, _CANVAS / 2) + rng.uniform(-0.05, 0.05, 2) * _CANVAS
    origin = np.array([(left + right) / 2, (top + bottom) / 2]) - matrix @ shifted
    (a, b), (d, e) = matrix
    coefficients = (a, b, origin[0], d, e, origin[1])
    return canvas.transform(
        canvas.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )


def _enlarge(ink: NDArray[np.float64]) -> Image.Image:
    """Counts of ink (8, 8) in 0..16 -> a greyscale image of 32 x 32."""
    coarse = Image.fromarray(np.round(ink * (255 / _INK_LEVELS)).astype(np.uint8))
    return coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("image", "label", "domain", "split"))
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _write(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
