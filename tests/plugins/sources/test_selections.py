"""Which sources are kept, and what each counts."""

import math
from dataclasses import replace

import pytest
from automl_xfer_plugins.sources.all_sources import AllSources
from automl_xfer_plugins.sources.by_distance import SourcesByDistance
from automl_xfer_plugins.sources.nearest import NearestSource
from automl_xfer_plugins.sources.searched import SearchedWeights
from automl_xfer_plugins.sources.trusted import TrustedSources

from automl_xfer.components import SourceDomain

GOOD = SourceDomain("good", 100, distance=0.1, consistency=0.9, agreement=0.7)
NOISE = SourceDomain("noise", 100, distance=0.1, consistency=0.12, agreement=0.1)
OTHER = SourceDomain("other", 100, distance=0.2, consistency=0.95, agreement=0.12)
FAR = SourceDomain("far", 100, distance=0.5, consistency=0.9, agreement=0.6)


def test_all_sources_count_alike():
    assert AllSources().weights([GOOD, NOISE], 10) == [1.0, 1.0]


def test_noise_and_foreign_labels_are_not_trusted():
    assert TrustedSources().weights([GOOD, NOISE, OTHER, FAR], 10) == [1.0, 0.0, 0.0, 0.0]
    assert TrustedSources(farthest=6.0).weights([GOOD, FAR], 10) == [1.0, 1.0]


def test_without_labels_to_hold_against_consistency_alone_decides():
    known = [replace(source, agreement=None) for source in (GOOD, NOISE, OTHER)]
    assert TrustedSources().weights(known, 10) == [1.0, 0.0, 1.0]


def test_where_no_source_agrees_with_another_consistency_tells_the_noise():
    """Two sources, one of noise: each is at chance on the other."""
    pair = [replace(GOOD, agreement=0.11), replace(NOISE, agreement=0.13)]
    assert TrustedSources().weights(pair, 10) == [1.0, 0.0]


def test_where_labels_contradict_each_other_the_farther_source_is_left_out():
    """Two sound sources of different subjects: only one can mean what the target's labels do."""
    near, other = replace(GOOD, agreement=0.11), replace(OTHER, agreement=0.14)
    assert TrustedSources().weights([near, other], 10) == [1.0, 0.0]
    assert TrustedSources(farthest=5.0).weights([near, other], 10) == [1.0, 1.0]
    assert TrustedSources().weights([near, replace(other, distance=0.12)], 10) == [1.0, 1.0]
    alike = [replace(near, agreement=0.6), replace(other, agreement=0.5)]
    assert TrustedSources().weights(alike, 10) == [1.0, 1.0]


@pytest.mark.parametrize("least", [0.1, 0.9])
def test_a_single_source_is_always_trusted(least):
    assert TrustedSources(least=least).weights([NOISE], 10) == [1.0]


def test_weights_fall_with_the_distance():
    near, far = SourcesByDistance(temperature=0.5).weights([GOOD, OTHER], 10)
    assert near == 1.0
    assert far == pytest.approx(math.exp(-(0.2 - 0.1) / (0.5 * 0.1)))


def test_differences_within_the_noise_of_the_measure_count_nothing():
    pair = [replace(GOOD, distance=-0.01), replace(GOOD, distance=0.004)]
    assert SourcesByDistance().weights(pair, 10) == [1.0, 1.0]
    assert TrustedSources().weights(pair, 10) == [1.0, 1.0]


def test_what_is_far_by_distance_is_left_out():
    assert SourcesByDistance(temperature=0.05).weights([GOOD, FAR], 10) == [1.0, 0.0]


def test_the_nearest_alone_is_kept():
    assert NearestSource().weights([FAR, GOOD, OTHER], 10) == [0.0, 1.0, 0.0]


def test_searched_weights_go_by_the_order_of_distances():
    made = SearchedWeights(first=0.8, second=0.05, third=0.4, rest=0.2)
    assert made.weights([FAR, GOOD, OTHER], 10) == [0.4, 0.8, 0.0]
    assert made.weights([GOOD], 10) == [0.8]
