"""scan on folders: which layout means what, and what is said about the rest."""

import os
import tempfile
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest

from automl_xfer.data import scan
from automl_xfer.errors import DataError


def roles(scanned):
    return Counter((s.split, s.domain, s.label) for s in scanned.manifest.samples)


def test_class_folders_are_train(draw, tmp_path):
    for name in ("d/cat/1.png", "d/cat/2.PNG", "d/dog/deep/er/3.jpg", "d/dog/.hidden.png"):
        draw(name)
    scanned = scan(tmp_path / "d")
    assert roles(scanned) == {("train", "target", "cat"): 2, ("train", "target", "dog"): 1}
    assert [s.given for s in scanned.manifest.samples] == [
        "d/cat/1.png",
        "d/cat/2.PNG",
        "d/dog/deep/er/3.jpg",
    ]
    assert scanned.test is None
    assert scanned.warnings == ()


def test_split_folders_by_any_of_their_names(draw, tmp_path):
    for split in ("training", "Validation", "test"):
        for label in ("cat", "dog"):
            draw(f"d/{split}/{label}/1.png")
    draw("d/unlabeled/cat/1.png")
    scanned = scan(tmp_path / "d")
    assert roles(scanned) == {
        ("train", "target", "cat"): 1,
        ("train", "target", "dog"): 1,
        ("val", "target", "cat"): 1,
        ("val", "target", "dog"): 1,
        ("unlabelled", "target", None): 1,
    }
    assert scanned.test.labels == ("cat", "dog")
    assert not set(scanned.test.paths) & {s.path for s in scanned.manifest.samples}


def test_flat_folder_has_no_label(draw, tmp_path):
    draw("flat/1.png"), draw("flat/2.png")
    draw("source/a/1.png"), draw("source/b/1.png")
    scanned = scan(tmp_path / "flat", [tmp_path / "source"])
    assert roles(scanned) == {
        ("unlabelled", "target", None): 2,
        ("source", "source", "a"): 1,
        ("source", "source", "b"): 1,
    }
    assert scanned.manifest.facts() == {"no_target_labels", "source", "unlabelled"}


def test_unlabelled_beside_class_folders(draw, tmp_path):
    for name in ("d/a/1.png", "d/b/1.png", "d/unlabelled/x.png"):
        draw(name)
    assert roles(scan(tmp_path / "d"))[("unlabelled", "target", None)] == 1


def test_a_class_may_be_called_train(draw, tmp_path):
    draw("d/train/1.png"), draw("d/bus/1.png")
    scanned = scan(tmp_path / "d")
    assert scanned.manifest.classes == ("bus", "train")
    assert "Took train as a class" in scanned.warnings[0]


def test_links_are_followed_and_loops_end(draw, tmp_path):
    draw("far/1.png"), draw("d/b/1.png")
    (tmp_path / "d" / "a").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "d" / "b" / "loop").symlink_to(tmp_path / "d" / "b", target_is_directory=True)
    assert roles(scan(tmp_path / "d")) == {
        ("train", "target", "a"): 1,
        ("train", "target", "b"): 1,
    }


def test_strays_and_side_files(draw, tmp_path):
    for name in ("d/a/1.png", "d/b/1.png", "d/stray.png"):
        draw(name)
    (tmp_path / "d/a/notes.txt").write_text("fine")
    (tmp_path / "d/a/film.mp4").write_bytes(b"x")
    (tmp_path / "d/b/phone.heic").write_bytes(b"x")
    (tmp_path / "d/c").mkdir()
    scanned = scan(tmp_path / "d")
    warnings = " ".join(scanned.warnings)
    assert "Left out 1 image" in warnings and "stray.png" in warnings
    assert "(1 .mp4)" in warnings and "notes" not in warnings
    assert "1 folder without images" in warnings
    assert "d/b/phone.heic" in [s.given for s in scanned.manifest.samples]  # health names it


def test_sources_get_names_of_their_own(draw, tmp_path):
    for folder in ("d", "x/web", "y/web", "target"):
        draw(f"{folder}/a/1.png"), draw(f"{folder}/b/1.png")
    names = [tmp_path / "x/web", tmp_path / "y/web", tmp_path / "target"]
    assert scan(tmp_path / "d", names).manifest.sources == ("target-2", "web", "web-2")


def test_source_classes_that_the_target_lacks(draw, tmp_path):
    for name in ("d/cat/1.png", "d/dog/1.png", "s/cat/1.png", "s/Dog/1.png", "t/car/1.png"):
        draw(name)
    scanned = scan(tmp_path / "d", [tmp_path / "s", tmp_path / "t"])
    assert scanned.manifest.sources == ("s",)
    assert [s.label for s in scanned.manifest.select("source")] == ["cat"]
    some, none = scanned.warnings
    assert "1 image of the source 's'" in some and "'Dog' is meant to be 'dog'" in some
    assert "Left out the source 't' (1 image): none of its classes (car)" in none


def test_val_and_test_classes_never_in_train(draw, tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "val/c/1.png", "test/a/1.png", "test/z/1.png"):
        draw(f"d/{name}")
    scanned = scan(tmp_path / "d")
    assert scanned.manifest.classes == ("a", "b")
    assert scanned.manifest.select("val") == ()
    assert scanned.test.labels == ("a",)
    assert len(scanned.warnings) == 2
    assert "1 image of the test split" in scanned.warnings[0] and "(z)" in scanned.warnings[0]
    assert "val split whose class has no training image (c)" in scanned.warnings[1]


def test_domains_taken_for_classes_are_noticed(draw, tmp_path):
    for domain in ("photo", "sketch"):
        draw(f"d/{domain}/cat/1.png"), draw(f"d/{domain}/dog/1.png")
    assert "if they are domains" in scan(tmp_path / "d").warnings[0]


@pytest.mark.parametrize(
    ("files", "target", "sources", "words"),
    [
        ([], "nowhere", [], "nowhere does not exist"),
        (["d/.keep.png"], "d", [], "is empty"),
        (["a.png"], "a.png", [], "give the folder it lies in"),
        (["d/only/1.png"], "d", [], "only one class ('only')"),
        (["d/data/cat/1.png", "d/data/dog/1.png"], "d", [], "should {tmp}/d/data be the target?"),
        (["d/1.png"], "d", [], "No image in {tmp}/d has a label"),
        (["d/a/1.png", "d/b/1.png", "s/1.png"], "d", ["s"], "{tmp}/s has no labels"),
        (["d/a/1.png", "d/b/1.png"], "d", ["d"], "is the same as the target"),
        (["d/train/1.png", "d/test/2.png"], "d", [], "lie in no class folder"),
        (["d/test/a/1.png", "s/a/1.png", "s/b/1.png"], "d", ["s"], "no target image to learn"),
    ],
)
def test_errors_say_what_and_where(draw, tmp_path, files, target, sources, words):
    for name in files:
        draw(name)
    with pytest.raises(DataError) as caught:
        scan(tmp_path / target, [tmp_path / source for source in sources])
    assert words.format(tmp=tmp_path) in str(caught.value)


def test_folder_without_images(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "film.mp4").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no image in .* \(found: 1 \.mp4\)"):
        scan(tmp_path)


def test_a_folder_that_may_not_be_read(draw, tmp_path):
    draw("d/a/1.png"), draw("d/b/1.png")
    locked = tmp_path / "d" / "a"
    locked.chmod(0)
    user = os.geteuid()
    root = Path(tempfile.gettempdir())
    for parent in takewhile(lambda each: each != root, [tmp_path, *tmp_path.parents]):
        if user == 0:
            parent.chmod(0o755)  # let another user come this far
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(DataError, match="Permission denied") as caught:
            scan(tmp_path / "d")
    finally:
        os.seteuid(user)
        locked.chmod(0o755)
    assert str(locked) in str(caught.value)


def test_path_does_not_depend_on_where_one_stands(draw, tmp_path, monkeypatch):
    draw("d/a/1.png"), draw("d/b/1.png")
    absolute = scan(tmp_path / "d").manifest
    monkeypatch.chdir(tmp_path)
    relative = scan(Path("./d")).manifest
    assert relative.hash == absolute.hash
    assert all(s.path.is_absolute() for s in relative.samples)
