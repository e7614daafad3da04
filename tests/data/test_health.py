"""check_health: what is taken out, what is reported, and what is never looked at."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from automl_xfer.data import check_health, scan, stratified_folds
from automl_xfer.errors import DataError


@pytest.fixture
def data(draw, tmp_path):
    """Two classes of four in train, two each in test; no picture occurs twice."""
    for label in ("cat", "dog"):
        for number in range(4):
            draw(f"d/train/{label}/{number}.png")
        for number in range(2):
            draw(f"d/test/{label}/{number}.png")
    return tmp_path / "d"


def codes(report):
    return {finding.code: finding for finding in report.findings}


def copy(source, target):
    target.write_bytes(source.read_bytes())


def save_again(source, target):
    image = Image.open(source).convert("RGB")
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(target, quality=70)


def test_healthy_data_has_no_findings(data):
    scanned = scan(data)
    checked, report = check_health(scanned)
    assert checked == scanned
    assert report.findings == ()
    assert {(c.split, c.label): c.images for c in report.counts} == {
        ("train", "cat"): 4,
        ("train", "dog"): 4,
        ("test", None): 4,
    }
    assert report.imbalance == 1.0
    assert report.statistics.width == (192, 192, 192)
    assert report.statistics.grey_share == 0.0


def test_unreadable_images_are_quarantined_by_name(data):
    cut = data / "train/cat/0.png"
    cut.write_bytes(cut.read_bytes()[:300])
    (data / "train/dog/zero.jpg").touch()
    (data / "test/dog/0.png").write_text("not an image")
    checked, report = check_health(scan(data))
    assert dict(report.quarantined) == {
        "d/train/cat/0.png": "truncated (the file ends too early)",
        "d/train/dog/zero.jpg": "zero bytes",
        "d/test/dog/0.png": "not an image that can be read",
    }
    assert len(checked.manifest.samples) == 7
    assert checked.test.given == ("d/test/cat/0.png", "d/test/cat/1.png", "d/test/dog/1.png")
    finding = codes(report)["unreadable"]
    assert finding.severity == "warning" and "3 images" in finding.message
    assert "d/train/dog/zero.jpg (zero bytes)" in finding.message


def test_copies_of_test_images_leave_the_training(data):
    copy(data / "test/cat/0.png", data / "train/dog/copy.png")
    checked, report = check_health(scan(data))
    assert "d/train/dog/copy.png" not in [s.given for s in checked.manifest.samples]
    assert len(checked.test.paths) == 4
    assert codes(report)["test-leak"].images == ("d/train/dog/copy.png",)
    assert not {"exact-conflict", "exact-duplicates"} & set(codes(report))


def test_near_copies_of_test_images_are_named_and_kept(data):
    save_again(data / "test/cat/0.png", data / "train/cat/again.jpg")
    checked, report = check_health(scan(data))
    assert len(checked.manifest.samples) == 9
    finding = codes(report)["near-test-leak"]
    assert set(finding.images) == {"d/test/cat/0.png", "d/train/cat/again.jpg"}
    assert report.near_duplicates == (("d/train/cat/again.jpg", "d/test/cat/0.png"),)


def test_one_picture_under_two_labels(data):
    copy(data / "train/cat/0.png", data / "train/dog/x.png")
    save_again(data / "train/cat/1.png", data / "train/dog/y.jpg")
    _, report = check_health(scan(data))
    exact, near = codes(report)["exact-conflict"], codes(report)["near-conflict"]
    assert (exact.severity, near.severity) == ("error", "warning")
    assert report.findings[0] is exact  # gravest first
    assert "d/train/cat/0.png (cat) and d/train/dog/x.png (dog)" in exact.message


def test_the_report_does_not_depend_on_test_labels(data):
    copy(data / "train/cat/0.png", data / "test/dog/x.png")
    scanned = scan(data)
    turned = replace(scanned.test, labels=tuple(reversed(scanned.test.labels)))
    one, other = (check_health(s)[1].to_dict() for s in (scanned, replace(scanned, test=turned)))
    assert one == other
    assert "conflict" not in json.dumps(one)


def test_train_and_val_share_a_picture(data, draw):
    draw("d/val/dog/1.png")
    copy(data / "train/cat/0.png", data / "val/dog/0.png")
    _, report = check_health(scan(data))
    assert "train and val" in codes(report)["exact-train-val"].message


def test_duplicates_share_a_group_and_a_side(data):
    copy(data / "train/cat/0.png", data / "train/cat/x.png")
    save_again(data / "train/cat/0.png", data / "train/cat/y.jpg")
    checked, report = check_health(scan(data))
    train = checked.manifest.select("train")
    groups = report.group_ids([sample.path for sample in train])
    names = [sample.path.name for sample in train]
    alike = [names.index(name) for name in ("0.png", "x.png", "y.jpg")]
    assert len(set(groups[alike])) == 1
    assert len(set(groups)) == len(train) - 2
    labels = np.array([sample.label == "dog" for sample in train]).astype(np.int64)
    for _, held in stratified_folds(labels, 2, 0, groups):
        assert len(set(alike) & set(held)) in (0, 3)
    assert codes(report)["exact-duplicates"].severity == "info"


def test_few_images_and_imbalance(data, draw):
    draw("d/train/emu/1.png")
    for number in range(4, 12):
        draw(f"d/train/cat/{number}.png")
    _, report = check_health(scan(data))
    assert report.imbalance == 12.0
    assert "1 class with a single train image (emu)" in codes(report)["few-images"].message
    assert codes(report)["imbalance"].severity == "warning"


def test_classes_that_a_source_lacks(data, draw, tmp_path):
    draw("web/cat/1.png"), draw("web/cat/2.png")
    _, report = check_health(scan(data, [tmp_path / "web"]))
    assert "source 'web' has no image of 1 class (dog)" in codes(report)["class-mismatch"].message


def test_colour_that_tells_the_class(draw, tmp_path):
    for number in range(5):
        draw(f"e/cat/{number}.png")
        path = draw(f"e/dog/{number}.png")
        Image.open(path).convert("L").save(path)
    _, report = check_health(scan(tmp_path / "e"))
    assert report.statistics.grey_share == 0.5
    assert "100% of the images of 'dog'" in codes(report)["colour-tells-class"].message


def test_size_is_that_of_the_upright_file(draw, tmp_path):
    for label in ("a", "b"):
        draw(f"e/{label}/1.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1600, 400), "red").save(tmp_path / "e/a/big.jpg", exif=exif)
    statistics = check_health(scan(tmp_path / "e"))[1].statistics
    assert (statistics.width[2], statistics.height[2]) == (400, 1600)


def test_scan_warnings_are_findings(data, draw):
    draw("d/stray.png")
    _, report = check_health(scan(data))
    assert "stray.png" in codes(report)["scan"].message


def test_report_is_json(data):
    (data / "train/cat/0.png").write_bytes(b"")
    copy(data / "train/cat/1.png", data / "train/cat/x.png")
    _, report = check_health(scan(data))
    read = json.loads(json.dumps(report.to_dict()))
    assert read["quarantined"] == [{"image": "d/train/cat/0.png", "reason": "zero bytes"}]
    assert read["exact_duplicates"] == [["d/train/cat/1.png", "d/train/cat/x.png"]]
    assert {f["code"] for f in read["findings"]} == {"unreadable", "exact-duplicates"}


def test_a_class_without_readable_images(data):
    for path in (data / "train/cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        check_health(scan(data))
    assert "no image of 1 class (cat) is left" in str(caught.value)
    assert "d/train/cat/0.png (zero bytes)" in str(caught.value)


def test_losing_all_labels_is_not_made_up_for_by_a_source(draw, tmp_path):
    for name in ("d/train/a/1.png", "d/train/b/1.png", "s/a/1.png", "s/b/1.png"):
        draw(name)
    draw("d/unlabelled/1.png")
    for label in ("a", "b"):
        (tmp_path / "d/train" / label / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="no image of 2 classes"):
        check_health(scan(tmp_path / "d", [tmp_path / "s"]))


def test_unlabelled_images_that_are_all_test_images(draw, tmp_path):
    draw("d/test/a/1.png", 1), draw("d/unlabelled/1.png", 1)
    draw("s/a/1.png"), draw("s/b/1.png")
    with pytest.raises(DataError, match="1 image that are also test images"):
        check_health(scan(tmp_path / "d", [tmp_path / "s"]))


def test_lost_sources_and_tests_are_said(data, draw, tmp_path):
    for path in (draw("web/cat/1.png"), *data.glob("test/*/*.png")):
        path.write_bytes(b"")
    checked, report = check_health(scan(data, [tmp_path / "web"]))
    assert checked.test is None and checked.manifest.sources == ()
    said = " ".join(f.message for f in report.findings if f.code == "scan")
    assert "source 'web'" in said and "no test score" in said


def test_digests_spare_the_cache_a_reading(data, tmp_path):
    from automl_xfer.data import ImageCache

    checked, report = check_health(scan(data))
    paths = [sample.path for sample in checked.manifest.samples]
    cache = ImageCache(tmp_path / "cache")
    assert cache.load(paths, 8, digests=report.digests).key == cache.load(paths, 8).key


def test_every_image_is_counted_in_progress(data):
    calls = []
    check_health(scan(data), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 12) for done in range(1, 13)]


def test_source_images_that_are_labelled_target_images_bring_no_label_into_a_fold(data, draw):
    web = data.parent / "web"
    for label in ("cat", "dog"):
        draw(f"web/{label}/own.png")
    copy(data / "train/cat/0.png", web / "cat/copy.png")
    checked, report = check_health(scan(data, [web]))
    assert [s.path.name for s in checked.manifest.select("source")] == ["own.png", "own.png"]
    assert len(checked.manifest.select("train")) == 8
    assert "the same file is also a labelled target image" in codes(report)["source-copy"].message
