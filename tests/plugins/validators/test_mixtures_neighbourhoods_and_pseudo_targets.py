"""MixVal, soft neighbourhood density and pseudo-target accuracy against loops and closed forms."""

import math

import numpy as np
import pytest
from automl_xfer_plugins.validators.mix_val import MixVal
from automl_xfer_plugins.validators.pseudo_target import PseudoTargetAccuracy
from automl_xfer_plugins.validators.soft_neighbourhood_density import SoftNeighbourhoodDensity
from scipy.stats import entropy

from automl_xfer.components import MixedPredictions, PseudoTarget, UnlabelledPredictions


def predictions(target, mixed=None, pseudo_target=None):
    target = np.asarray(target, np.float32)
    labels = np.zeros(1, np.int64)
    return UnlabelledPredictions(target, target[:1], labels, target, mixed, pseudo_target)


def mixtures(classes, first, second, k=3):
    probabilities = np.eye(k, dtype=np.float32)[classes]
    return MixedPredictions(probabilities, np.array(first), np.array(second), 0.55)


TARGET = np.eye(3)[[0, 0, 1, 2]]


def test_mix_val_weighs_both_kinds_of_pairs_alike():
    # Alike: (0, 1) kept. Unlike: (0, 2) kept, (2, 3) given to the second image, (3, 0) to neither.
    mixed = mixtures([0, 0, 2, 1], [0, 0, 2, 3], [1, 2, 3, 0])
    assert MixVal().score(predictions(TARGET, mixed)) == pytest.approx((1 + 1 / 3) / 2)


def test_mix_val_gives_a_collapse_no_more_than_half():
    collapsed = np.eye(3)[[0, 0, 0, 0]]
    mixed = mixtures([0, 0], [0, 2], [1, 3])
    assert MixVal().score(predictions(collapsed, mixed)) == 0.5


def test_mix_val_is_higher_for_a_border_between_clusters_than_for_one_through_them():
    random = np.random.default_rng(0)
    features = np.concatenate([random.normal(-3, 1, (200, 2)), random.normal(3, 1, (200, 2))])
    first, second = random.integers(0, 400, (2, 2000))

    def score(direction):
        def predict(x):
            side = (x @ direction > 0).astype(int)
            return np.eye(2, dtype=np.float32)[side]

        blend = 0.55 * features[first] + 0.45 * features[second]
        mixed = MixedPredictions(predict(blend), first, second, 0.55)
        return MixVal().score(predictions(predict(features), mixed))

    assert score(np.array([1.0, 1.0])) > score(np.array([1.0, -1.0])) + 0.05


def test_without_anything_to_look_at_the_scores_are_nan():
    bare = predictions(TARGET)
    assert math.isnan(MixVal().score(bare))
    assert math.isnan(PseudoTargetAccuracy().score(bare))
    assert math.isnan(SoftNeighbourhoodDensity().score(predictions(TARGET[:1])))


def test_soft_neighbourhood_density_against_a_loop_over_images():
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=1203)  # more than two blocks
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    expected = []
    for i in range(len(p)):
        similar = np.exp(np.delete(unit @ unit[i], i) / 0.05)
        expected.append(entropy(similar))
    score = SoftNeighbourhoodDensity().score(predictions(p))
    assert score == pytest.approx(np.mean(expected), rel=1e-5)


def test_soft_neighbourhood_density_of_a_collapse_is_the_highest_there_is():
    collapse = SoftNeighbourhoodDensity().score(predictions(np.eye(4)[[0] * 40]))
    assert collapse == pytest.approx(np.log(39))
    assert collapse > SoftNeighbourhoodDensity().score(predictions(np.eye(4)[[0, 1, 2, 3] * 10]))


def test_soft_neighbourhood_density_does_not_count():
    assert SoftNeighbourhoodDensity.weight == 0
    assert MixVal.weight == PseudoTargetAccuracy.weight == 1


def test_pseudo_target_is_an_accuracy():
    held_out = PseudoTarget(np.eye(3, dtype=np.float32)[[0, 1, 2, 2]], np.array([0, 1, 1, 2]))
    assert PseudoTargetAccuracy().score(predictions(TARGET, None, held_out)) == 0.75
