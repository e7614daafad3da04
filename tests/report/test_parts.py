"""Confusion, thumbnails, health and the command to run again."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from fake_study import CLASSES, make_study
from PIL import Image

from automl_xfer.report.confusion import confusion_view
from automl_xfer.report.health import data_health
from automl_xfer.report.reproduce import command_line, versions
from automl_xfer.report.thumbnails import thumbnail


def decoded(uri: str | None) -> Image.Image:
    assert uri is not None and uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_confusion_has_shares_recalls_and_worst_pairs() -> None:
    view = confusion_view(["a", "b", "c"], [[8, 2, 0], [5, 5, 0], [0, 0, 0]])
    assert view is not None
    assert view.rows[0][1].share == pytest.approx(0.2)
    assert [(p.true, p.predicted, p.count) for p in view.worst_pairs] == [
        ("b", "a", 5),
        ("a", "b", 2),
    ]
    assert [(r.name, r.value) for r in view.recalls] == [("b", 0.5), ("a", 0.8), ("c", None)]


def test_more_than_fifty_classes_are_pairs_only() -> None:
    names = [f"c{i}" for i in range(51)]
    view = confusion_view(names, np.ones((51, 51), int).tolist())
    assert view is not None and view.rows == () and len(view.worst_pairs) == 20


def test_a_confusion_that_does_not_fit_its_classes_is_left_out() -> None:
    assert confusion_view(["a", "b"], [[1]]) is None
    assert confusion_view([], []) is None


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "I;16"])
def test_thumbnails_of_every_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new(mode, (300, 150)).save(path)
    assert decoded(thumbnail(path)).size == (96, 48)


def test_sixteen_bit_grey_keeps_its_tones(tmp_path: Path) -> None:
    pixels = np.full((40, 40), 32768, dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    assert decoded(thumbnail(tmp_path / "grey.png")).getpixel((20, 20)) == pytest.approx(
        (128,) * 3, abs=2
    )


def test_rotation_of_the_camera_is_undone(tmp_path: Path) -> None:
    image = Image.new("RGB", (200, 100))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert decoded(thumbnail(tmp_path / "turned.jpg")).size == (48, 96)


def test_missing_and_broken_images_have_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (tmp_path / "empty.png").touch()
    names = ("broken.jpg", "empty.png", "missing.png", ".")
    assert [thumbnail(tmp_path / name) for name in names] == [None] * 4


def test_counts_become_a_table_with_a_column_per_split_and_source() -> None:
    def count(split: str, domain: str, label: str | None, images: int) -> dict:
        return {"split": split, "domain": domain, "label": label, "images": images}

    counts = [
        count("train", "target", "b", 3),
        count("train", "target", "a", 2),
        count("source", "photo", "a", 9),
        count("test", "target", None, 5),
    ]
    table = data_health(make_study(health={"counts": counts})).counts
    assert table is not None
    assert table.splits == ("train", "source photo", "test")
    assert table.rows == (("a", (2, 9, 0)), ("b", (3, 0, 0)), ("without a label", (0, 0, 5)))


def test_data_facts_in_words() -> None:
    facts = data_health(
        make_study(health={"statistics": {"width": [1, 2, 3], "height": [4, 5, 6]}})
    )
    assert facts.facts[0] == "35 labelled target images"
    assert facts.facts[-2:] == (
        f"{len(CLASSES)} classes",
        "median size 2 × 5 px (from 1 × 4 to 3 × 6)",
    )


def test_the_command_is_quoted_for_the_shell() -> None:
    study = make_study(
        name="my study",
        seed=3,
        options={
            "target": "a'b",
            "source": ["x", "y z"],
            "trials": None,
            "time_limit": 600.0,
            "disabled_plugins": ["slow"],
            "choices": {"alignment": ["none", "coral"]},
        },
    )
    assert command_line(study).split(" \\\n  ") == [
        "automl-xfer search",
        "--study 'my study'",
        "--seed 3",
        "--target 'a'\"'\"'b'",
        "--source x",
        "--source 'y z'",
        "--time-limit 600",
        "--disable-plugin slow",
        "--alignment none,coral",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@db/x",
        "postgresql://me:s3@cret@db/x",
        "postgresql://db/x?password=s3cret",
    ],
)
def test_a_password_never_reaches_the_report(url: str) -> None:
    command = command_line(make_study(options={"storage": url}))
    assert "cret" not in command and "postgresql://" in command and "db/x" in command


def test_versions_name_what_was_recorded() -> None:
    assert versions(make_study(version="9.9"))["automl-xfer"] == "9.9"
    assert "numpy" in versions(make_study())
