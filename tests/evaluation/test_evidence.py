"""Evidence: weights that follow held-out log scores as far as the images carry."""

import numpy as np
import pytest

from automl_xfer.evaluation.evidence import evidence_weights


def test_equal_models_weigh_the_same_and_a_better_one_more():
    scores = np.random.default_rng(0).normal(-1, 0.5, 40)
    assert evidence_weights(np.stack([scores] * 4)).tolist() == pytest.approx([0.25] * 4)
    first, second = evidence_weights(np.stack([scores, scores - 0.1]))
    assert first == pytest.approx(1 / (1 + np.exp(-0.5 * 40 * 0.1)))  # the same for every image
    assert first + second == pytest.approx(1)


def test_a_lead_that_hangs_on_one_image_counts_for_less_than_one_that_all_share():
    base = np.full(40, -1.0)
    shared, one = base + 0.2, base.copy()
    one[0] += 8.0  # the same sum
    of_all, of_one = (evidence_weights(np.stack([base, each]))[1] for each in (shared, one))
    assert of_all > of_one


def test_the_more_images_the_surer():
    scores = np.random.default_rng(0).normal(-1, 0.5, 400)
    few, many = (evidence_weights(np.stack([scores[:n], scores[:n] - 0.05]))[0] for n in (40, 400))
    assert 0.5 < few < many
