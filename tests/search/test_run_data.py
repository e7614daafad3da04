"""The whole road on other data: no target labels, a test split, a val split, PostgreSQL."""

import csv
import json
from dataclasses import replace

import pytest

from automl_xfer.bundle import load_bundle
from automl_xfer.errors import StudyError
from automl_xfer.search import sampling
from automl_xfer.search.run import run_search


def test_without_target_labels_no_label_is_needed_and_source_only_is_there(
    options, unlabelled, source
):
    record = run_search(replace(options, target=str(unlabelled), source=(str(source),), trials=6))
    names = [baseline["name"] for baseline in record.result["baselines"]]
    assert "source-only" in names
    assert all(baseline["gain"] is None for baseline in record.result["baselines"])
    assert "no gain over source-only can be measured" in " ".join(record.result["notes"])
    bundle = load_bundle(options.directory / "bundle", device="cpu")
    paths = sorted(unlabelled.iterdir())
    right = [p.label == p.path.name.split("-")[0] for p in bundle.predict(paths)]
    assert sum(right) >= 0.7 * len(right)


def write_table(folder, labelled, row):
    """A CSV of all labelled images; `row(path, label, number)` makes a line."""
    table = folder / "task.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "split"])
        for label in ("left", "top"):
            for number, path in enumerate(sorted((labelled / label).iterdir())):
                writer.writerow(row(path, label, number))
    return table


def test_test_rows_are_scored_once_and_never_searched(options, labelled, tmp_path):
    def row(path, label, number):
        # The labels of the test rows are swapped: whoever learnt from them would show it.
        wrong = "top" if label == "left" else "left"
        return [path, wrong, "test"] if number >= 7 else [path, label, "train"]

    table = write_table(tmp_path, labelled, row)
    record = run_search(replace(options, target=str(table), trials=4))
    assert record.result["winner"]["score"] > 0.9
    assert record.result["test"]["n"] == 6
    assert record.result["test"]["scores"]["accuracy"] < 0.2
    compared = {b["name"]: b for b in record.result["baselines"] if "test_gain" in b}
    assert "from-scratch" in compared and len(compared) >= 2
    for each in compared.values():
        ours = record.result["test"]["scores"]["accuracy"]
        assert each["test_gain"] == pytest.approx(ours - each["test_score"])


def test_a_val_split_is_what_strategies_are_scored_on(options, labelled, tmp_path):
    def row(path, label, number):
        return [path, label, "val" if number >= 6 else "train"]

    table = write_table(tmp_path, labelled, row)
    record = run_search(replace(options, target=str(table), trials=4))
    assert record.result["signal"] == "accuracy on 8 held-out target images"
    assert sum(map(sum, record.result["confusion"])) == 8
    assert record.result["winner"]["score"] > 0.7


def test_a_short_search_opens_only_the_images_it_uses_and_goes_on_with_them(
    options, labelled, monkeypatch
):
    there = sum(1 for _ in labelled.glob("*/*"))
    at_size = (sampling.AT_SIZE / options.image_size) ** 2
    monkeypatch.setattr(sampling, "IMAGES_PER_SECOND", 6 / options.time_limit / at_size)
    record = run_search(replace(options, trials=3))
    assert f"12 of the {there} labelled images are used" in " ".join(record.result["notes"])
    assert record.facts["n_train"] == 12
    assert sum(map(sum, record.result["confusion"])) == 12
    # Twice the time would allow all; a study goes on with those that it began with.
    again = run_search(replace(options, trials=1, time_limit=2 * options.time_limit))
    assert again.facts["n_train"] == 12


def test_a_study_goes_on_at_the_image_size_that_it_began_with(options, monkeypatch):
    free = replace(options, trials=1, image_size=None)
    begun = run_search(free)
    assert begun.facts["image_size"] == 224
    monkeypatch.setattr(sampling, "_SHARE_LARGE", 0.0)  # a new study would read at 160
    assert run_search(free).facts["image_size"] == 224
    with pytest.raises(StudyError, match="begun with another image size"):
        run_search(replace(free, image_size=160))


def test_other_images_are_refused_by_name(options, labelled, monkeypatch):
    run_search(replace(options, trials=1))
    monkeypatch.setattr(sampling, "IMAGES_PER_SECOND", 1e-6)
    with pytest.raises(StudyError, match="begun with another choice of its images"):
        run_search(replace(options, trials=1))


def test_postgresql_takes_the_same_study(options, postgresql_url):
    record = run_search(replace(options, storage=postgresql_url, trials=2))
    assert record.phase == "finished"
    assert ":***@" in record.options["storage"]
    assert json.dumps(record.result)
