"""Distances between domains against closed forms and loops."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from automl_xfer.evaluation.domain_distance import (
    domain_distance,
    frechet_distance,
    neighbour_agreement,
    prior_difference,
    proxy_a_distance,
    source_consistency,
    squared_mmd,
)


def domain(n, shift=0.0, d=20, seed=0):
    """Features (n, d) with a mean of their own direction, moved by `shift` along the first axis."""
    features = np.random.default_rng(seed).normal(size=(n, d)) + 1
    features[:, 0] += shift
    return features


def with_moments(n, mean, covariance, seed):
    """n points whose sample mean and sample covariance are exactly these."""
    points = np.random.default_rng(seed).normal(size=(n, len(mean)))
    points -= points.mean(0)
    whitened = points @ np.linalg.inv(sqrtm(np.cov(points, rowvar=False)))
    return whitened @ sqrtm(covariance) + mean


def test_equal_distributions_are_near_zero():
    distance = domain_distance(domain(900, seed=1), domain(700, seed=2))
    assert distance.proxy_a < 0.3
    assert distance.frechet < 0.02
    assert abs(distance.mmd) < 0.005


def test_equal_images_cannot_be_told_apart():
    distance = domain_distance(domain(100), domain(100))
    assert (distance.proxy_a, distance.frechet) == pytest.approx((0, 0), abs=1e-9)
    assert distance.mmd <= 0


def test_every_distance_grows_with_the_shift_to_a_limit():
    shifts = [
        domain_distance(domain(400, seed=1), domain(400, s, seed=2)) for s in (0.0, 1.0, 2.0, 8.0)
    ]
    for name in ("proxy_a", "frechet", "mmd"):
        values = [getattr(distance, name) for distance in shifts]
        assert all(np.diff(values) > 0), name
    assert shifts[-1].proxy_a == pytest.approx(2, abs=0.02)
    assert shifts[-1].frechet < 4


@pytest.mark.parametrize("sizes", [(80, 120), (30, 30), (1, 40), (1, 1)])
@pytest.mark.parametrize("d", [20, 300])
def test_the_distances_are_symmetric_also_with_more_features_than_images(sizes, d):
    first, second = domain(sizes[0], 1.0, d, seed=1), domain(sizes[1], 0.0, d, seed=2)
    there, back = domain_distance(first, second), domain_distance(second, first)
    assert there.proxy_a == pytest.approx(back.proxy_a)
    assert there.frechet == pytest.approx(back.frechet)
    assert there.mmd == pytest.approx(back.mmd)


def test_a_single_image_has_every_distance_but_a_classifiers():
    distance = domain_distance(domain(1, seed=1), domain(50, seed=2))
    assert distance.proxy_a is None
    assert math.isfinite(distance.frechet) and math.isfinite(distance.mmd)
    same = domain_distance(domain(1), domain(1))
    assert (same.frechet, same.mmd) == pytest.approx((0, 0), abs=1e-9)


def test_the_seed_chooses_the_images():
    first, second = domain(700, seed=1), domain(700, 1.0, seed=2)
    assert domain_distance(first, second, seed=3) == domain_distance(first, second, seed=3)
    assert domain_distance(first, second, seed=3) != domain_distance(first, second, seed=4)


def test_sixteen_bit_features_are_measured_in_more():
    first, second = (100 * domain(60, s, 300, seed=i) for i, s in enumerate((0, 5)))
    half = domain_distance(first.astype(np.float16), second.astype(np.float16))
    full = domain_distance(first, second)
    assert (half.frechet, half.mmd) == pytest.approx((full.frechet, full.mmd), rel=0.01, abs=1e-3)


@pytest.mark.parametrize("n, m", [(60, 40), (4, 40)])
def test_frechet_against_the_formula_with_a_matrix_root(n, m):
    a, b = domain(n, d=6, seed=1), domain(m, 2.0, d=6, seed=2) * np.arange(1, 7)
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(sqrtm(c2) @ c1 @ sqrtm(c2)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_frechet_between_gaussians_that_share_their_axes():
    first, second = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    a = with_moments(50, np.zeros(3), np.diag(first), seed=0)
    b = with_moments(80, np.array([3.0, 0.0, 4.0]), np.diag(second), seed=1)
    expected = 25 + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_squared_mmd_against_a_loop_over_pairs():
    x, y = domain(12, d=3, seed=1), domain(9, 1.0, d=3, seed=2)
    both = np.concatenate([x, y])
    pairs = [((a - b) ** 2).sum() for i, a in enumerate(both) for b in both[:i]]
    median = np.median(pairs)

    def k(a, b):
        d = ((a - b) ** 2).sum()
        return np.mean([np.exp(-d / (2 * c * median)) for c in (0.25, 0.5, 1, 2, 4)])

    def within(z):
        return np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])

    expected = within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert squared_mmd(x, y) == pytest.approx(expected)


def test_squared_mmd_is_unbiased():
    draws = [squared_mmd(domain(8, seed=i), domain(8, seed=1000 + i)) for i in range(300)]
    error = np.std(draws) / math.sqrt(len(draws))
    assert abs(np.mean(draws)) < 4 * error
    assert min(draws) < 0 < max(draws)


def test_proxy_a_of_two_gaussians_is_that_of_the_best_linear_border():
    first, second = domain(4000, d=5, seed=1), domain(4000, 1.0, d=5, seed=2)
    error = math.erfc(0.5 / math.sqrt(2)) / 2  # half the distance of the means, in deviations
    assert proxy_a_distance(first, second) == pytest.approx(2 - 4 * error, abs=0.06)


def test_proxy_a_does_not_learn_the_images_by_heart():
    values = [
        proxy_a_distance(domain(20, d=300, seed=i), domain(20, d=300, seed=99 + i))
        for i in range(10)
    ]
    assert np.mean(values) < 0.6


def test_prior_difference_by_hand():
    assert prior_difference(np.array([0, 0, 1, 2]), np.array([0, 1]), 3) == pytest.approx(0.25)
    assert prior_difference(np.array([0, 1]), np.array([0, 0, 1, 1]), 2) == 0
    assert prior_difference(np.array([0]), np.array([1, 2]), 3) == 1


def labelled(n, apart, shift=0.0, seed=0):
    means = np.random.default_rng(7).normal(size=(3, 10)) * apart
    features = np.random.default_rng(seed).normal(size=(n, 10))
    labels = np.arange(n) % 3
    return features + means[labels] + shift, labels


def test_source_consistency_against_scikit_learns_leave_one_out():
    features, labels = labelled(90, 0.5)
    neighbour = KNeighborsClassifier(1, metric="cosine")
    centred = features - features.mean(0)
    expected = cross_val_score(neighbour, centred, labels, cv=LeaveOneOut()).mean()
    assert 0.4 < expected < 0.95
    assert source_consistency(features, labels) == pytest.approx(expected)


def test_source_consistency_of_random_labels_is_chance_and_of_one_image_zero():
    features, labels = labelled(1500, 0.5)
    noise = np.random.default_rng(1).integers(0, 3, len(labels))
    assert source_consistency(features, noise) == pytest.approx(1 / 3, abs=0.06)
    assert source_consistency(features[:1], labels[:1]) == 0


def test_neighbour_agreement_against_scikit_learn_and_whatever_the_shift():
    (source, source_labels), (other, labels) = labelled(80, 0.8), labelled(50, 0.8, 9.0, seed=1)
    neighbour = KNeighborsClassifier(1, metric="cosine")
    neighbour.fit(source - source.mean(0), source_labels)
    expected = neighbour.score(other - other.mean(0), labels)
    assert 0.4 < expected < 1
    assert neighbour_agreement(source, source_labels, other, labels) == pytest.approx(expected)
    moved = neighbour_agreement(source + 4, source_labels, other * 3, labels)
    assert moved == pytest.approx(expected)


def test_measuring_imports_no_torch():
    code = "import sys, automl_xfer.evaluation.domain_distance; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
