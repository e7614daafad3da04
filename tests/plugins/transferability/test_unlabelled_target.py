"""Estimators that read the source's labels and unlabelled target images."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.transferability.centroid_margin import CentroidMargin
from automl_xfer_plugins.transferability.source_neighbour import SourceNeighbour
from scipy.stats import entropy
from sklearn.neighbors import NearestCentroid, NearestNeighbors

from automl_xfer.errors import ComponentError

ALL = [SourceNeighbour(), CentroidMargin()]


def two_domains(apart, n=60, m=45, d=8, k=3, seed=0):
    """Source, its labels, and a target that is shifted as a whole."""
    random = np.random.default_rng(seed)
    means = random.normal(size=(k, d)) * apart
    source, target = (
        torch.from_numpy(means[np.arange(size) % k] + random.normal(size=(size, d))).float()
        for size in (n, m)
    )
    return source, torch.arange(n) % k, target + 5


def unit(features):
    centred = features.double().numpy() - features.double().numpy().mean(0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


@pytest.mark.parametrize("neighbours", [2, 5])
def test_source_neighbour_against_a_loop_over_scikit_learns_neighbours(neighbours):
    source, labels, target = two_domains(0.7)
    search = NearestNeighbors(n_neighbors=neighbours, metric="cosine").fit(unit(source))
    shares = []
    for row in search.kneighbors(unit(target), return_distance=False):
        shares.append(np.bincount(labels.numpy()[row], minlength=3) / neighbours)
    unsure = np.mean([entropy(share, base=3) for share in shares])
    expected = entropy(np.mean(shares, axis=0), base=3) - unsure
    found = SourceNeighbour(neighbours).estimate(source, labels, target)
    assert found == pytest.approx(expected, abs=1e-6)


def test_centroid_margin_against_scikit_learns_centroids():
    source, labels, target = two_domains(0.7)
    centroids = NearestCentroid().fit(unit(source), labels.numpy()).centroids_
    margins = []
    for image in unit(target):
        nearest, second, _ = sorted(np.linalg.norm(image - centroid) for centroid in centroids)
        margins.append(1 - nearest / second)
    expected = np.mean(margins)
    assert CentroidMargin().estimate(source, labels, target) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_classes_that_lie_apart_score_higher(estimator):
    scores = [estimator.estimate(*two_domains(apart)) for apart in (0.0, 1.0, 4.0)]
    assert scores[0] + 0.05 < scores[1] < scores[2] - 0.05
    assert scores[0] >= 0 and scores[2] <= 1


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_a_shift_and_a_scale_of_one_domain_change_nothing(estimator):
    source, labels, target = two_domains(0.7)
    before = estimator.estimate(source, labels, target)
    after = estimator.estimate(source - 3, labels + 4, target * 10)
    assert after == pytest.approx(before, abs=1e-4)


def test_source_neighbour_is_zero_when_every_target_image_has_the_same_neighbours():
    # Every target image points to the same side, where the source has one class only.
    torch.manual_seed(0)
    source = torch.cat([torch.randn(20, 2) + 9, torch.randn(20, 2) - 9])
    labels = torch.arange(40) // 20
    target = torch.zeros(30, 2)
    assert SourceNeighbour().estimate(source, labels, target) == pytest.approx(0, abs=1e-9)


def test_source_neighbour_is_one_for_clear_and_even_classes():
    source, labels, target = two_domains(40.0)
    assert SourceNeighbour().estimate(source, labels, target) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_without_a_target_image_or_a_second_class_the_score_is_zero(estimator):
    source, labels, target = two_domains(1.0)
    assert estimator.estimate(source, labels, target[:0]) == 0
    assert estimator.estimate(source, labels * 0, target) == 0
    assert estimator.estimate(torch.ones(6, 4), torch.arange(6) % 2, torch.ones(3, 4)) == 0


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_one_image_per_class_and_one_target_image_get_a_score(estimator):
    score = estimator.estimate(torch.eye(3), torch.arange(3), torch.ones(1, 3))
    assert 0 <= score <= 1


def test_they_are_for_targets_without_labels_and_check_their_parameters():
    for estimator in ALL:
        assert estimator.requires == {"source", "no_target_labels"}
    with pytest.raises(ComponentError, match="neighbours must be between"):
        SourceNeighbour(1)
