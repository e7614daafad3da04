"""What a search uses when its time is short."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from automl_xfer.data.manifest import Manifest, Sample, ScannedData, TestSplit
from automl_xfer.search import opening
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.sampling import fair_shares, size_within_reach, thinned, within_reach
from automl_xfer.study.store import StudyStore


def samples(split, n, domain="target", label=lambda row: None):
    names = [f"{domain}-{split}-{row}.jpg" for row in range(n)]
    return [Sample(Path(name), name, split, domain, label(row)) for row, name in enumerate(names)]


@pytest.fixture
def scanned():
    """400 source images in two domains, a class with 2 images, 300 unlabelled ones, 50 for test."""

    def label(row):
        return "rare" if row in (7, 8) else "ab"[row % 2]

    source = samples("source", 200, "one", label) + samples("source", 200, "two", lambda row: "a")
    names = tuple(f"test-{row}.jpg" for row in range(50))
    test = TestSplit(tuple(map(Path, names)), names, ("a",) * 50)
    return ScannedData(Manifest(tuple(source + samples("unlabelled", 300))), test)


@pytest.mark.parametrize(
    ("sizes", "limit", "kept"),
    [
        ((40, 30), 80, (40, 30)),
        ((40, 30), 40, (20, 20)),
        ((5, 60), 40, (5, 35)),
        ((60, 5), 40, (35, 5)),
    ],
)
def test_what_one_does_not_need_the_other_gets(sizes, limit, kept):
    assert fair_shares(*sizes, limit) == kept


def test_every_class_of_a_domain_is_thinned_out_alike(scanned):
    thin = within_reach(scanned, 25.0, 160, "cpu")  # 200 images
    source = thin.manifest.select("source")
    assert len(thin.manifest.select("unlabelled")) == 100
    kept = Counter((sample.domain, sample.label) for sample in source)
    assert kept == {("one", "a"): 25, ("one", "b"): 25, ("one", "rare"): 2, ("two", "a"): 50}
    assert thin.test is scanned.test
    order = [scanned.manifest.samples.index(sample) for sample in thin.manifest.samples]
    assert order == sorted(order)
    assert within_reach(scanned, 25.0, 160, "cpu") == thin


def test_enough_time_or_a_gpu_uses_all(scanned):
    assert within_reach(scanned, 100.0, 160, "cpu").manifest == scanned.manifest
    assert within_reach(scanned, 1.0, 160, "cuda:0") is scanned
    assert within_reach(scanned, 4.0, 32, "cpu").manifest == scanned.manifest


def test_labelled_target_images_count_twice_and_keep_the_share_of_val():
    labelled = samples("train", 300, label=lambda row: "ab"[row % 2])
    labelled += samples("val", 100, label=lambda row: "ab"[row % 2])
    found = ScannedData(Manifest(tuple(labelled)), None)
    thin = within_reach(found, 12.5, 160, "cpu").manifest  # 100 images, 200 labelled ones
    assert len(thin.select("train")) == 150
    assert len(thin.select("val")) == 50
    assert within_reach(found, 25.0, 160, "cpu").manifest == found.manifest


@pytest.mark.parametrize(("n", "kept"), [(600, 6), (300, 3), (100, 2)])
def test_a_class_keeps_a_few_where_there_is_room(n, kept):
    found = thinned(samples("train", 1000, label=lambda row: f"{row % 100}"), n)
    assert set(Counter(sample.label for sample in found).values()) == {kept}


def test_a_rare_class_keeps_five():
    found = samples("train", 1000, label=lambda row: "rare" if row < 20 else "common")
    assert Counter(sample.label for sample in thinned(found, 100))["rare"] == 5


def test_the_choice_is_that_of_the_seeds_permutation():
    """Which images a limit stands for does not change from one version to the next."""
    found = samples("unlabelled", 300)
    rows = np.sort(np.random.default_rng(0).permutation(300)[:200])
    assert thinned(found, 200) == [found[row] for row in rows]


def test_few_images_are_read_larger_and_labelled_ones_may_be_twice_as_many(scanned):
    # 700 source and unlabelled images and 50 test images, which count half, are a quarter of what
    # 710.5 s allow at 224 pixels.
    assert size_within_reach(scanned, 709.0, "cpu") == 160
    assert size_within_reach(scanned, 712.0, "cpu") == 224
    assert size_within_reach(scanned, 10.0, "cuda:0") == 224
    labelled = ScannedData(Manifest(tuple(samples("train", 700, label=str))), None)
    assert size_within_reach(labelled, 340.0, "cpu") == 160
    assert size_within_reach(labelled, 345.0, "cpu") == 224


@pytest.mark.parametrize("wish", [{"prefer": "speed"}, {"max_latency_ms": 50.0}])
def test_who_wants_a_fast_model_gets_small_images_on_a_cpu(scanned, wish, tmp_path):
    store = StudyStore(f"sqlite:///{tmp_path / 'studies.db'}")
    asked = SearchOptions(target="folder", **wish)
    assert opening._size(asked, scanned, 7200.0, "cpu", store) == 160
    assert opening._size(asked, scanned, 7200.0, "cuda:0", store) == 224
    assert opening._size(SearchOptions(target="folder"), scanned, 7200.0, "cpu", store) == 224
