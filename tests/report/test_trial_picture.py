"""The picture of a trial's confusion matrix."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_xfer.report.trial_picture import write_confusion_picture


def test_cells_are_shaded_by_their_share_of_the_row(tmp_path: Path) -> None:
    matrix = np.array([[9, 1], [0, 0]])
    picture = _picture(matrix, ["a", "b"], tmp_path)
    cells = _cells(picture, 2)
    assert cells[0, 0].sum() < cells[0, 1].sum() < cells[1, 0].sum() == cells[1, 1].sum() == 765


@pytest.mark.parametrize(
    "names",
    [
        ["щенок", "κύων"],
        ["a" * 300, "b"],
        ["", " ", "two\nlines"],
        ["alone"],
        [f"class {number}" for number in range(1000)],
    ],
    ids=["not latin", "long", "blank", "one", "many"],
)
def test_any_names_of_classes_give_a_picture_of_a_modest_size(
    names: list[str], tmp_path: Path
) -> None:
    picture = _picture(np.eye(len(names), dtype=int), names, tmp_path)
    assert max(picture.size) <= max(900, 2 * len(names) + 200)


def _picture(matrix: np.ndarray, names: list[str], folder: Path) -> Image.Image:
    return Image.open(write_confusion_picture(matrix, names, "held-out target", folder / "a.png"))


def _cells(picture: Image.Image, count: int) -> np.ndarray:
    """(K, K, 3): a colour beside the corner of each cell."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    framed = (pixels == (128, 128, 128)).all(-1)  # lines of it, not the edges of some letter
    top, bottom = np.flatnonzero(framed.sum(1) > 100)[[0, -1]]
    left, right = np.flatnonzero(framed.sum(0) > 100)[[0, -1]]
    rows = np.linspace(top, bottom, count + 1)[:-1].astype(int) + 3
    columns = np.linspace(left, right, count + 1)[:-1].astype(int) + 3
    return pixels[np.ix_(rows, columns)]
