"""Shrinkage LDA against scikit-learn and Gaussian densities, and at its edges."""

import time

import numpy as np
import pytest
import torch
from automl_xfer_plugins.heads.shrinkage_lda import ShrinkageLDA, discriminants
from scipy.special import log_softmax
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


def blobs(n, dim, classes, seed=0, spread=1.0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = spread * random.normal(size=(classes, dim))
    return centres[labels] + random.normal(size=(n, dim)) * random.uniform(0.3, 3, dim), labels


def log_posteriors(x, y):
    """Bayes' rule with Gaussian densities of the pooled covariance that scikit-learn shrinks."""
    means = np.stack([x[y == k].mean(0) for k in range(y.max() + 1)])
    shrunk, _ = ledoit_wolf(x - means[y], assume_centered=True)
    shrunk *= len(x) / (len(x) - len(means))
    densities = [multivariate_normal(mean, shrunk).logpdf(x) for mean in means]
    return log_softmax(np.stack(densities, 1) + np.log(np.bincount(y) / len(y)), axis=1)


def said(x, y, weight=None, group=None):
    weight = np.ones(len(y)) if weight is None else weight
    rows, intercepts = discriminants(x, y, weight, np.arange(len(y)) if group is None else group)
    return log_softmax(x @ rows.T + intercepts, axis=1)


def tensors(x, y):
    return torch.from_numpy(x).float(), torch.from_numpy(y)


@pytest.mark.parametrize(("n", "dim"), [(200, 8), (30, 50)])
def test_equals_bayes_rule_with_the_covariance_that_scikit_learn_shrinks(n, dim):
    x, y = blobs(n, dim, 3)
    y[: n // 5] = 0  # unequal shares
    assert np.allclose(said(x, y), log_posteriors(x, y), atol=1e-6)


def test_the_more_samples_the_nearer_it_is_to_scikit_learns_unshrunk_analysis():
    x, y = blobs(40_000, 5, 3, spread=0.5)
    theirs = LinearDiscriminantAnalysis(solver="svd").fit(x, y).predict_log_proba(x)
    few = slice(0, 400)  # shrinking lifts the small variances of so few
    assert np.abs(said(x, y) - theirs).max() < 0.03
    unshrunk = LinearDiscriminantAnalysis(solver="svd").fit(x[few], y[few])
    apart = np.abs(said(x[few], y[few]) - unshrunk.predict_log_proba(x[few])).max()
    assert apart > 0.1


def test_a_sample_twice_in_one_group_counts_once():
    x, y = blobs(30, 12, 3)
    twice, labels, group = np.concatenate([x, x]), np.tile(y, 2), np.tile(np.arange(30), 2)
    assert np.allclose(said(twice, labels, group=group)[:30], said(x, y), atol=1e-8)


def test_a_weight_counts_as_repeats_in_a_group():
    x, y = blobs(30, 12, 3)
    weight = 1.0 + np.arange(30) % 2
    rows = np.repeat(np.arange(30), weight.astype(int))
    repeated = said(x[rows], y[rows], group=rows)
    assert np.allclose(said(x, y, weight)[rows], repeated, atol=1e-8)


@pytest.mark.parametrize("copies", [1, 2])
def test_samples_of_next_to_no_weight_are_as_if_they_were_not_there(copies):
    x, y = blobs(60, 12, 3)
    weight = np.repeat([1.0, 1e-9], 30)
    rows = np.tile(np.arange(60), copies)
    skewed = said(x[rows], y[rows], weight[rows], group=rows)
    assert np.allclose(skewed[:30], said(x[:30], y[:30]), atol=1e-5)


def test_the_head_is_the_discriminants_over_one_temperature():
    x, y = blobs(60, 20, 3)
    with torch.no_grad():
        logits = ShrinkageLDA().fit(*tensors(x, y), 3)(torch.from_numpy(x).float()).numpy()
    rows, intercepts = discriminants(x, y, np.ones(60), np.arange(60))
    raw = x @ rows.T + intercepts
    ratios = (raw - raw[:, :1])[:, 1:] / (logits - logits[:, :1])[:, 1:]
    assert ratios.std() < 1e-2 * ratios.mean()
    assert ratios.mean() >= 1


def test_few_samples_in_many_dimensions_do_not_make_it_sure_of_new_ones():
    """Classes share their strongest directions; what is left of them looks like signal."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(30, 400))
    labels = np.arange(300) % 5
    x = (0.7 * random.normal(size=(5, 30))[labels] + random.normal(size=(300, 30))) @ mixing
    head = ShrinkageLDA().fit(*tensors(x[:40], labels[:40]), 5)
    logits = head(torch.from_numpy(x[40:]).float())
    truth = torch.from_numpy(labels[40:])
    rows, intercepts = discriminants(x[:40], labels[:40], np.ones(40), np.arange(40))
    raw = torch.from_numpy(x[40:] @ rows.T + intercepts)
    loss = torch.nn.functional.cross_entropy
    assert loss(logits, truth) < min(loss(raw, truth), 1.61)


@pytest.mark.parametrize("labels", [[0, 0, 2, 2, 2, 0], [0, 2, 2, 2, 2, 2], [2] * 6])
def test_a_class_without_a_sample_gets_the_lowest_score(labels):
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    head = ShrinkageLDA().fit(x, torch.tensor(labels), 4)
    scores = head(10 * torch.randn(50, 8))
    absent = [k for k in range(4) if k not in labels]
    present = sorted(set(labels))
    assert (scores[:, absent].amax(1) < scores[:, present].amin(1)).all()


def test_one_sample_per_class_makes_it_the_nearest_mean():
    x, y = torch.eye(3), torch.arange(3)
    head = ShrinkageLDA().fit(x, y, 3)
    probes = torch.randn(40, 3)
    assert (head(probes).argmax(1) == torch.cdist(probes, x).argmin(1)).all()


def test_constant_features_do_no_harm():
    alike = torch.full((12, 6), 7.0)
    assert ShrinkageLDA().fit(alike, torch.arange(12) % 3, 3)(alike).isfinite().all()
    x, y = tensors(*blobs(40, 6, 3, spread=8.0))
    padded = torch.cat([x, torch.full((40, 2), 7.0)], 1)
    assert (ShrinkageLDA().fit(padded, y, 3)(padded).argmax(1) == y).float().mean() > 0.9


def test_many_dimensions_take_seconds():
    x, y = tensors(*blobs(600, 2600, 10))
    start = time.perf_counter()
    ShrinkageLDA().fit(x, y, 10)
    assert time.perf_counter() - start < 20
