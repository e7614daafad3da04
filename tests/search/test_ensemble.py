"""Ensemble weights: by the evidence on few held-out images, greedy on many."""

import numpy as np
import pytest

from automl_xfer.evaluation.metrics import image_counts, log_scores
from automl_xfer.search import ensemble


def ensemble_weights(labels, stack, good, *fits):
    of_label = stack[:, np.arange(len(labels)), labels]
    return ensemble.ensemble_weights(of_label, log_scores(of_label), good, *fits)


def probabilities(labels, right, sure, seed):
    """Of three classes; so many in 1 of the images are predicted right, so sure."""
    random = np.random.default_rng(seed)
    classes = np.where(random.random(len(labels)) < right, labels, (labels + 1) % 3)
    found = np.full((len(labels), 3), (1 - sure) / 2, np.float32)
    found[np.arange(len(labels)), classes] = sure
    return found


def test_on_few_images_luck_decides_nothing_alone():
    labels = np.arange(21) % 3
    stack = np.stack([probabilities(labels, 0.55, 0.5, seed) for seed in range(5)])
    weights = ensemble_weights(labels, stack, range(len(stack)))
    assert weights.sum() == pytest.approx(1)
    assert np.count_nonzero(weights) >= 4 and weights.max() < 0.75


def test_at_most_eight_are_together_and_the_heaviest_are_kept():
    labels = np.arange(30) % 3
    stack = np.stack([probabilities(labels, 0.6, 0.6, seed) for seed in range(30)])
    weights = ensemble_weights(labels, stack, range(30))
    assert np.count_nonzero(weights) <= 8
    right = (stack.argmax(2) == labels).mean(1)
    assert right[weights > 0].min() >= np.median(right)


def test_of_many_alike_some_are_together_though_each_has_a_small_share():
    labels = np.arange(35) % 3
    stack = np.stack([probabilities(labels, 1.0, 0.7, seed) for seed in range(40)])
    weights = ensemble_weights(labels, stack, range(40))
    assert np.count_nonzero(weights) >= 4


def test_on_many_images_what_is_worse_is_weighed_down():
    labels = np.arange(900) % 3
    good = [probabilities(labels, 0.9, 0.8, seed) for seed in range(3)]
    stack = np.stack([*good, probabilities(labels, 0.35, 0.9, 7)])
    weights = ensemble_weights(labels, stack, range(len(stack)))
    assert weights[3] == 0
    assert (weights[:3] > 0.2).all()


def test_the_first_alone_where_it_is_clearly_better():
    labels = np.arange(1500) % 3
    stack = np.stack([probabilities(labels, 0.99, 0.98, 0), probabilities(labels, 0.4, 0.9, 1)])
    assert ensemble_weights(labels, stack, range(len(stack))).tolist() == [1, 0]


def test_models_that_may_not_be_together_are_not():
    labels = np.arange(30) % 3
    stack = np.stack([probabilities(labels, 0.8, 0.8, seed) for seed in range(4)])
    weights = ensemble_weights(labels, stack, range(4), lambda chosen: len(chosen) <= 2)
    assert np.count_nonzero(weights) == 2


def test_what_is_clearly_beaten_gets_no_equal_share():
    labels = np.arange(30) % 3
    collapsed = np.tile(np.array([0.9, 0.05, 0.05], np.float32), (30, 1))
    stack = np.stack([probabilities(labels, 0.9, 0.8, 0), *[collapsed] * 4])
    weights = ensemble_weights(labels, stack, [0])
    assert weights[0] > 0.9
    together = np.tensordot(weights, stack, axes=1).argmax(1)
    assert np.mean(together == labels) == np.mean(stack[0].argmax(1) == labels)


def test_one_that_is_as_good_as_all_together_wins_alone():
    labels = np.arange(60) % 3
    one, other = (probabilities(labels, 0.8, 0.8, seed) for seed in range(2))
    given = np.stack([each[np.arange(60), labels] for each in (one, one, other, one)])
    alike = np.array([0.4, 0.5, 0.0, 0.1], np.float32)
    assert ensemble.alone_if_as_good(alike, given, range(4)).tolist() == [1, 0, 0, 0]
    assert ensemble.alone_if_as_good(alike, given, [3]).tolist() == [0, 0, 0, 1]  # by the metric
    assert ensemble.alone_if_as_good(alike, given, []).tolist() == alike.tolist()
    both = np.array([0.4, 0.1, 0.3, 0.2], np.float32)
    assert log_scores(both @ given).mean() > log_scores(given).mean(1).max()
    assert ensemble.alone_if_as_good(both, given, range(4)).tolist() == both.tolist()


@pytest.mark.parametrize("n", [30, 600])
def test_a_metric_to_which_classes_count_alike_prefers_who_knows_the_small_one(n):
    labels = (np.arange(n) % 10 == 0).astype(int)
    of_large, of_small = np.full((2, n), 0.6)
    of_large[labels == 0], of_large[labels == 1] = 0.8, 0.3
    stack = np.stack([of_large, of_small]).astype(np.float32)
    weigh = [
        ensemble.ensemble_weights(
            stack, log_scores(stack), range(2), counts=image_counts(metric, labels)
        )
        for metric in ("accuracy", "macro-f1")
    ]
    assert weigh[0][0] > 0.5 > weigh[1][0]
