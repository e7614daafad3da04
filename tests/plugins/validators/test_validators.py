"""Validators against their closed forms."""

import numpy as np
import pytest
from automl_xfer_plugins.validators.agreement import PoolAgreement
from automl_xfer_plugins.validators.infomax import InfoMax
from scipy.stats import entropy

from automl_xfer.components import UnlabelledPredictions


def predictions(target, pool=None):
    target = np.asarray(target, np.float32)
    pool = target if pool is None else np.asarray(pool, np.float32)
    return UnlabelledPredictions(target, target[:1], np.zeros(1, np.int64), pool)


def test_infomax_is_best_when_sure_and_even_and_zero_when_collapsed_or_unsure():
    assert InfoMax().score(predictions(np.eye(4))) == pytest.approx(1)
    assert InfoMax().score(predictions(np.eye(4)[[0, 0, 0]])) == pytest.approx(0)
    assert InfoMax().score(predictions(np.full((5, 4), 0.25))) == pytest.approx(0, abs=1e-6)


def test_infomax_against_scipy():
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=40)
    expected = entropy(p.mean(0), base=5) - entropy(p, axis=1, base=5).mean()
    assert InfoMax().score(predictions(p)) == pytest.approx(expected, abs=1e-6)


def test_agreement_counts_equal_classes():
    pool = np.eye(3)[[0, 1, 2, 2]]
    assert PoolAgreement().score(predictions(np.eye(3)[[0, 1, 1, 2]], pool)) == 0.75
    assert PoolAgreement().score(predictions(pool)) == 1.0
