"""Warm start: a study on images like those of an earlier one begins where that one ended."""

from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.search.feature_statistics import FeatureStatistics
from automl_xfer.search.foreseen import foreseen_seconds
from automl_xfer.search.opening import open_session
from automl_xfer.search.run import run_search
from automl_xfer.search.warmstart import NEAR
from automl_xfer.study.records import Role
from automl_xfer.study.store import StudyStore


def test_a_second_study_on_similar_images_begins_with_the_best_of_the_first(options, similar):
    first = run_search(replace(options, trials=6))
    told = []
    second = run_search(
        replace(options, target=str(similar), study="again", trials=5),
        lambda event: told.append(getattr(event, "message", "")),
    )
    store = StudyStore(f"sqlite:///{options.studies_dir}/studies.db")
    best = first.result["winner"]["trials"][0]  # of an ensemble the first finalist
    won = [trial for trial in store.trials("s") if trial.id == best]
    begun = [trial.strategy for trial in store.trials("again") if trial.role is Role.PORTFOLIO]
    baselines = [t.strategy for t in store.trials("again") if t.role is Role.BASELINE]
    assert len(won) == 1 and won[0].strategy in begun + baselines
    assert len(begun) == 2
    assert len(baselines) == 3  # what proved itself takes no baseline's place
    assert any("earlier studies on similar images: s (" in message for message in told)
    assert any("earlier studies on similar images: s (" in note for note in second.result["notes"])


def test_a_study_of_known_images_reads_them_as_before_and_finds_their_features(options):
    """Three seconds would ask for the smaller size; features of the first study cost nothing."""
    first = replace(options, image_size=None, time_limit=120.0, trials=3)
    run_search(replace(first, image_size=48))
    quiet = (lambda event: None, lambda: False)
    session = open_session(replace(first, study="again"), *quiet)
    assert session.prepared.data.image_size == 48
    strategy = session.space.strategy(names={"freezing": "linear-probe"})
    session.stage_seconds = dict.fromkeys(strategy.backbone.parts, (1.0,))
    assert session.trials_before
    assert foreseen_seconds(session, strategy) == 0
    other = open_session(replace(first, study="other", image_size=64), *quiet)
    other.stage_seconds = session.stage_seconds
    assert other.trials_before == []
    assert foreseen_seconds(other, strategy) > 0


def test_a_study_with_another_signal_says_nothing(options, source, unlabelled):
    run_search(replace(options, trials=3))
    second = run_search(
        replace(options, target=str(unlabelled), source=(str(source),), study="u", trials=2)
    )
    assert not any("earlier studies" in note for note in second.result["notes"])


def features(n, shift, seed):
    random = np.random.default_rng(seed)
    return (random.standard_normal((n, 1000)) * 3 + shift).astype(np.float32)


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 0.0), (1.5, 0.5), (6.0, 2.0)])
def test_the_distance_is_that_of_the_means_in_standard_deviations(shift, expected):
    a, b = (FeatureStatistics.of(features(800, move, seed)) for seed, move in enumerate((0, shift)))
    assert a.distance(b) == pytest.approx(expected, abs=0.08 + 0.25 * expected)
    assert a.distance(b) == b.distance(a)


def test_samples_of_one_domain_are_near():
    a, b = (FeatureStatistics.of(features(30, 0, seed)) for seed in range(2))
    assert a.distance(b) < NEAR
