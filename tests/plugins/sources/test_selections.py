"""Which sources are kept, and what each counts."""

import math
from dataclasses import replace

import pytest
from automl_xfer_plugins.sources.all_sources import AllSources
from automl_xfer_plugins.sources.by_distance import SourcesByDistance
from automl_xfer_plugins.sources.nearest import NearestSources
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


@pytest.mark.parametrize("least", [0.1, 0.9])
def test_a_single_source_is_always_trusted(least):
    assert TrustedSources(least=least).weights([NOISE], 10) == [1.0]


def test_weights_fall_with_the_distance():
    near, far = SourcesByDistance(temperature=0.5).weights([GOOD, OTHER], 10)
    assert near == 1.0
    assert far == pytest.approx(math.exp(-(0.2 - 0.1) / (0.5 * 0.1)))


def test_a_distance_below_zero_is_taken_for_the_least():
    near, far = SourcesByDistance().weights([replace(GOOD, distance=-0.01), FAR], 10)
    assert near == 1.0
    assert 0 <= far < 1e-6


def test_the_nearest_are_kept():
    assert NearestSources(count=2).weights([FAR, GOOD, OTHER], 10) == [0.0, 1.0, 1.0]
    assert NearestSources(count=8).weights([FAR, GOOD], 10) == [1.0, 1.0]
