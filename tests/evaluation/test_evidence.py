"""Evidence: calibrated log scores, and weights that follow them as far as the images carry."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from automl_xfer.evaluation.evidence import calibrated_log_scores, evidence_weights


def drawn(n, seed=0, sharpness=1.0):
    """Labels drawn from known probabilities (n, 4), and these made more or less sure."""
    random = np.random.default_rng(seed)
    logits = 2 * random.standard_normal((n, 4))
    labels = np.array([random.choice(4, p=row) for row in softmax(logits, axis=1)])
    return labels, softmax(sharpness * logits, axis=1).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_how_sure_a_model_is_of_itself_does_not_matter(sharpness):
    labels, true = drawn(2000)
    _, said = drawn(2000, sharpness=sharpness)
    scores = calibrated_log_scores(labels, said)
    assert scores.shape == (2000,)
    assert -scores.mean() == pytest.approx(log_loss(labels, true), abs=0.01)


def test_a_class_that_gets_no_probability_costs_a_bounded_score():
    labels = np.array([0, 1, 2] * 4)
    certain = np.tile(np.array([1, 0, 0], np.float32), (12, 1))
    scores = calibrated_log_scores(labels, certain)
    assert np.isfinite(scores).all() and scores.min() >= np.log(1e-6)


def test_equal_models_weigh_the_same_and_a_better_one_more():
    labels, said = drawn(40)
    scores = calibrated_log_scores(labels, said)
    assert evidence_weights(np.stack([scores] * 4)).tolist() == pytest.approx([0.25] * 4)
    first, second = evidence_weights(np.stack([scores, scores - 0.1]))
    assert first == pytest.approx(1 / (1 + np.exp(-0.5 * 40 * 0.1)))  # the same for every image
    assert first + second == pytest.approx(1)


def test_a_lead_that_hangs_on_one_image_counts_for_less_than_one_that_all_share():
    base = np.full(40, -1.0)
    shared, one = base + 0.2, base.copy()
    one[0] += 8.0  # the same sum
    assert (
        evidence_weights(np.stack([base, shared]))[1] > evidence_weights(np.stack([base, one]))[1]
    )
