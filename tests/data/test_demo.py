import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from automl_xfer.data.demo import DemoPaths, write_demo_data

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPaths:
    return write_demo_data(tmp_path_factory.mktemp("demo"))


def read_rows(demo: DemoPaths) -> Rows:
    with demo.target_csv.open(newline="") as file:
        return list(csv.DictReader(file))


def pixels(demo: DemoPaths, rows: Rows) -> np.ndarray:
    return np.stack([np.asarray(Image.open(demo.target_csv.parent / r["image"])) for r in rows])


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_each_split_has_its_size_and_its_labels(demo: DemoPaths) -> None:
    rows = read_rows(demo)
    assert Counter((r["split"], r["domain"]) for r in rows) == {
        ("train", "handwritten"): 50,
        ("unlabelled", "handwritten"): 500,
        ("test", "handwritten"): 500,
        ("source", "fonts"): 1500,
    }
    assert set(Counter(r["label"] for r in rows if r["split"] == "train").values()) == {5}
    assert set(Counter(r["label"] for r in rows if r["split"] == "source").values()) == {150}
    assert {r["label"] for r in rows if r["split"] == "unlabelled"} == {""}


def test_no_image_is_in_two_splits(demo: DemoPaths) -> None:
    rows = read_rows(demo)
    assert len({r["image"] for r in rows}) == len(rows)


def test_handwritten_labels_are_scikit_learns(demo: DemoPaths) -> None:
    truth = load_digits().target
    labelled = [r for r in read_rows(demo) if r["split"] in ("train", "test")]
    assert all(r["label"] == str(truth[int(Path(r["image"]).stem)]) for r in labelled)


def test_images_are_small_grey_and_light_on_dark(demo: DemoPaths) -> None:
    images = pixels(demo, read_rows(demo))
    assert images.shape == (2550, 32, 32)
    assert images.dtype == np.uint8
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.median(corners) == 0
    assert images.max(axis=(1, 2)).min() > 128


def test_fonts_tell_something_about_handwriting_but_not_all(demo: DemoPaths) -> None:
    rows = read_rows(demo)
    source = [r for r in rows if r["split"] == "source"]
    target = [r for r in rows if r["split"] == "test"]
    model = KNeighborsClassifier(5)
    model.fit(pixels(demo, source).reshape(len(source), -1) / 255, [r["label"] for r in source])
    accuracy = model.score(
        pixels(demo, target).reshape(len(target), -1) / 255, [r["label"] for r in target]
    )
    assert 0.4 < accuracy < 0.8


def test_writing_again_changes_no_file(demo: DemoPaths) -> None:
    directory = demo.target_csv.parent
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.*")}
    assert write_demo_data(directory) == demo
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*.*")} == before


def test_the_seed_alone_decides(demo: DemoPaths, tmp_path: Path) -> None:
    again = write_demo_data(tmp_path / "again", seed=0)
    other = write_demo_data(tmp_path / "other", seed=1)
    assert contents(again.target_csv.parent) == contents(demo.target_csv.parent)
    assert other.target_csv.read_bytes() != again.target_csv.read_bytes()
    assert (other.fonts / "3-000.png").read_bytes() != (again.fonts / "3-000.png").read_bytes()
