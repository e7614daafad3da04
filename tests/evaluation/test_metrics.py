"""Metrics and intervals against closed forms."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from automl_xfer.evaluation.intervals import paired_interval, score_interval
from automl_xfer.evaluation.metrics import METRICS, mean_log_loss, per_class_recall, score

LABELS = np.array([0, 0, 0, 0, 1, 1])
P = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8], [0.6, 0.4]], np.float32)


def test_scores_by_hand():
    assert score("accuracy", LABELS, P) == pytest.approx(4 / 6)
    assert score("balanced-accuracy", LABELS, P) == pytest.approx((3 / 4 + 1 / 2) / 2)
    expected = f1_score(LABELS, P.argmax(1), average="macro")
    assert score("macro-f1", LABELS, P) == pytest.approx(expected)
    picked = np.array([0.9, 0.8, 0.7, 0.4, 0.8, 0.4])
    assert mean_log_loss(LABELS, P) == pytest.approx(-np.log(picked).mean(), rel=1e-5)


def test_recall_leaves_out_classes_without_an_image():
    three = np.pad(P, ((0, 0), (0, 1)))
    assert per_class_recall(LABELS, three, ("a", "b", "c")) == {"a": 0.75, "b": 0.5}


def test_the_interval_is_that_of_a_binomial():
    n, share = 400, 0.8
    labels = np.zeros(n, np.int64)
    right = np.arange(n) < share * n
    p = np.stack([right, ~right], axis=1).astype(np.float32)
    low, high = score_interval("accuracy", labels, p)
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_score_on_few_images_is_not_certain(metric):
    labels = np.array([0, 1, 2] * 9)
    low, high = score_interval(metric, labels, np.eye(3, dtype=np.float32)[labels])
    wilson = binomtest(27, 27).proportion_ci(method="wilson").low
    expected = 1 - (1 - wilson) / (2 / 3) if metric == "cohen-kappa" else wilson
    assert (low, high) == (pytest.approx(expected, abs=1e-6), 1.0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("images", [(9, 9, 9), (97, 3)])
def test_an_error_more_never_raises_the_lower_end(metric, images):
    labels = np.repeat(np.arange(len(images)), images)
    perfect = np.eye(len(images), dtype=np.float32)[labels]
    ends = []
    for errors in range(6):
        predicted = perfect.copy()
        predicted[:errors] = np.roll(predicted[:errors], 1, axis=1)
        low, high = score_interval(metric, labels, predicted)
        assert low <= score(metric, labels, predicted) <= high
        ends.append(low)
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize("metric", ["balanced-accuracy", "macro-f1", "cohen-kappa"])
def test_a_perfect_score_is_less_certain_where_a_class_has_few_images(metric):
    labels = np.array([0] * 97 + [1] * 3)
    low, _ = score_interval(metric, labels, np.eye(2, dtype=np.float32)[labels])
    # One wrong image of the small class is no surprise.
    other = np.array([0] * 97 + [1, 1, 0])
    assert low < score(metric, labels, np.eye(2, dtype=np.float32)[other])
    plain, _ = score_interval("accuracy", labels, np.eye(2, dtype=np.float32)[labels])
    assert low < plain - 0.1


def test_pairs_of_equal_predictions_have_no_interval():
    assert paired_interval("accuracy", LABELS, P, P) == (0.0, 0.0)


def test_a_paired_interval_is_narrower_than_two_single_ones():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    theirs = np.eye(2, dtype=np.float32)[np.where(random.random(300) < 0.7, labels, 1 - labels)]
    ours = theirs.copy()
    ours[:30] = np.eye(2, dtype=np.float32)[labels[:30]]
    low, high = paired_interval("accuracy", labels, ours, theirs)
    assert 0 < low < high < 0.1
