"""The logistic regression head against scikit-learn, and at its edges."""

import time

import numpy as np
import pytest
import torch
from automl_xfer_plugins.heads.logistic_regression import LogisticRegressionHead
from sklearn.linear_model import LogisticRegression


def blobs(n, dim, classes, seed=0, spread=1.0):
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=n)
    centres = spread * random.normal(size=(classes, dim))
    return centres[labels] + random.normal(size=(n, dim)) * random.uniform(0.1, 9, dim), labels


def tensors(x, y):
    return torch.from_numpy(x).float(), torch.from_numpy(y)


@pytest.mark.parametrize(("n", "dim"), [(120, 10), (40, 90)])
@pytest.mark.parametrize("classes", [2, 4])
def test_equals_scikit_learn_on_scaled_features(n, dim, classes):
    x, y = blobs(n, dim, classes)
    weight = np.random.default_rng(1).uniform(0.2, 3, n)
    head = LogisticRegressionHead(strength=0.1).fit(
        *tensors(x, y), classes, torch.from_numpy(weight)
    )
    model = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000)
    z = (x - x.mean(0)) / np.sqrt(x.var(0).mean())
    model.fit(z, y, sample_weight=weight)
    with torch.no_grad():
        ours = head(torch.from_numpy(x).float()).softmax(1).numpy()
    assert np.allclose(ours, model.predict_proba(z), atol=2e-3)


def test_weights_count_as_repeats():
    x, y = tensors(*blobs(30, 5, 3))
    head = LogisticRegressionHead(strength=0.01)
    twice = torch.cat([x, x]), torch.cat([y, y])
    weighted = head.fit(x, y, 3, torch.full((30,), 2.0))
    repeated = head.fit(*twice, 3)
    assert torch.allclose(weighted(x), repeated(x), atol=1e-2)


def test_cross_validation_picks_more_strength_for_signal_than_for_noise():
    x, y = tensors(*blobs(90, 40, 3, spread=8.0))
    noise = torch.randn(90, 40, generator=torch.Generator().manual_seed(0))
    head = LogisticRegressionHead()
    sure = head.fit(x, y, 3)(x).softmax(1).amax(1).mean()
    unsure = head.fit(noise, y, 3)(noise).softmax(1).amax(1).mean()
    assert sure > 0.9
    assert unsure < 0.5


@pytest.mark.parametrize("labels", [[0, 0, 2, 2, 2, 0], [0, 2, 2, 2, 2, 2], [2] * 6])
def test_a_class_without_a_sample_gets_the_lowest_score(labels):
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    head = LogisticRegressionHead().fit(x, torch.tensor(labels), 4)
    scores = head(100 * torch.randn(50, 8))
    absent = [k for k in range(4) if k not in labels]
    present = sorted(set(labels))
    assert scores.shape == (50, 4)
    assert (scores[:, absent].amax(1) < scores[:, present].amin(1)).all()
    assert (head(x).argmax(1)[torch.tensor(labels) == 2] == 2).float().mean() > 0.6


def test_constant_features_do_no_harm():
    x, y = tensors(*blobs(40, 6, 3, spread=8.0))
    padded = torch.cat([x, torch.full((40, 2), 7.0)], 1)
    head = LogisticRegressionHead().fit(padded, y, 3)
    assert (head(padded).argmax(1) == y).float().mean() > 0.5
    for dim in (6, 60):  # more samples than dimensions, and fewer
        alike = torch.full((40, dim), 7.0)
        assert LogisticRegressionHead().fit(alike, y, 3)(alike).isfinite().all()


def test_few_samples_twice_have_the_optimum_of_each_with_double_weight():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(12, 50, generator=generator), torch.arange(12) % 3
    once = LogisticRegressionHead(strength=0.1).fit(x, y, 3, torch.full((12,), 2.0))
    twice = LogisticRegressionHead(strength=0.1).fit(x.repeat(2, 1), y.repeat(2), 3)
    torch.testing.assert_close(once(x), twice(x), atol=1e-3, rtol=1e-3)


def test_groups_stay_together_in_the_inner_folds():
    """Noise that is there twice looks learnable to folds that part the two."""
    generator = torch.Generator().manual_seed(0)
    noise, labels = torch.randn(60, 50, generator=generator), torch.arange(60) % 3
    x, y, groups = torch.cat([noise, noise]), labels.repeat(2), torch.arange(60).repeat(2)
    sure = LogisticRegressionHead().fit(x, y, 3)(x).softmax(1).amax(1).mean()
    unsure = LogisticRegressionHead().fit(x, y, 3, groups=groups)(x).softmax(1).amax(1).mean()
    assert unsure < 0.6 < 0.7 < sure


def test_many_samples_of_many_dimensions_take_seconds():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(3000, 1500, generator=generator), torch.arange(3000) % 10
    x[:, :10] += 3 * torch.eye(10)[y]
    start = time.perf_counter()
    head = LogisticRegressionHead().fit(x, y, 10)
    assert time.perf_counter() - start < 60
    assert (head(x).argmax(1) == y).float().mean() > 0.9


def test_build_is_a_trainable_linear_layer():
    assert LogisticRegressionHead().build(7, 3)(torch.zeros(2, 7)).shape == (2, 3)
