"""Density ratios against those of known Gaussians; weights against their bounds."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.class_balanced_reweighting import (
    ClassBalancedReweighting,
    balanced_weights,
)
from automl_xfer_plugins.alignment.density_ratio import bounded_weights, log_density_ratio
from automl_xfer_plugins.alignment.instance_reweighting import InstanceReweighting
from sklearn.linear_model import LogisticRegression

METHODS = [InstanceReweighting(), ClassBalancedReweighting()]
GAP = torch.tensor([1.0, -0.5, 0.0])


@pytest.fixture
def gaussians():
    """(4000, 3) from N(0, I) and (1000, 3) from N(GAP, I), moved and stretched alike; log ratio."""
    torch.manual_seed(0)
    source, target = torch.randn(4000, 3), torch.randn(1000, 3) + GAP
    log_ratio = source @ GAP - GAP.square().sum() / 2
    return 5 * source + 2, 5 * target + 2, log_ratio.numpy()


def test_ratio_is_the_one_of_the_gaussians(gaussians):
    source, target, expected = gaussians
    error = log_density_ratio(source, target, 3) - expected
    assert np.abs(error).mean() < 0.1
    assert np.corrcoef(error + expected, expected)[0, 1] > 0.99


def test_ratio_corrects_for_the_sizes_of_the_domains(gaussians):
    source, target, _ = gaussians
    means = [log_density_ratio(source, target[:n], 3).mean() for n in (1000, 100)]
    assert abs(means[0] - means[1]) < 0.3 < np.log(10) / 2


def test_weighted_source_has_the_targets_mean(gaussians):
    source, target, _ = gaussians
    weights = InstanceReweighting(most=50.0).sample_weights(source, torch.zeros(4000), target)
    mean = (weights[:, None] * source).mean(0)
    assert torch.linalg.norm(mean - target.mean(0)) < 0.6
    assert torch.linalg.norm(source.mean(0) - target.mean(0)) > 5


def test_ratio_of_a_sample_comes_from_a_classifier_that_did_not_see_it():
    random = np.random.default_rng(0)
    source, target = random.normal(size=(60, 60)), random.normal(size=(60, 60))
    both, domain = np.concatenate([source, target]), np.repeat([0, 1], 60)
    seen = LogisticRegression().fit(both, domain).decision_function(source)
    ours = log_density_ratio(torch.from_numpy(source), torch.from_numpy(target), 60)
    assert (seen < 0).mean() > 0.8
    assert 0.3 < (ours < 0).mean() < 0.7


def test_unbounded_weights_are_the_ratios_over_their_mean():
    ratio = np.array([0.5, 1.0, 2.0, 0.1])
    assert np.allclose(bounded_weights(np.log(ratio), 50.0), ratio / ratio.mean())


def test_bounded_weights_in_closed_form():
    # 10 is cut to 2; the rest, 1 : 1 : 2, shares 5 - 2 - 2 for the five samples.
    weights = bounded_weights(np.log([10.0, 20.0, 0.1, 0.1, 0.2]), 2.0)
    assert np.allclose(weights, [2, 2, 0.25, 0.25, 0.5])


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 1000.0])
def test_weights_keep_mean_bound_and_order(scale):
    log_ratio = scale * np.random.default_rng(0).normal(size=200) - 7
    weights = bounded_weights(log_ratio, 4.0)
    assert weights.mean() == pytest.approx(1, abs=1e-9)
    assert weights.max() <= 4 + 1e-9 and weights.min() >= 0
    assert (np.diff(weights[np.argsort(log_ratio)]) >= 0).all()
    assert weights.sum() ** 2 / (weights**2).sum() >= 200 / 4  # effective samples


def test_every_class_weighs_the_same():
    random = np.random.default_rng(0)
    labels, log_ratio = np.repeat([2, 5, 9], [70, 25, 5]), random.normal(size=100)
    log_ratio[labels == 5] -= 8  # as if the target lacked that class
    weights = balanced_weights(log_ratio, labels, 50.0)
    assert weights.mean() == pytest.approx(1)
    for one in (2, 5, 9):
        inside = labels == one
        assert weights[inside].sum() == pytest.approx(100 / 3)
        ratio = np.exp(log_ratio[inside])
        assert np.allclose(weights[inside] / weights[inside].sum(), ratio / ratio.sum())
    assert bounded_weights(log_ratio, 50.0)[labels == 5].sum() < 1


def test_class_of_one_sample_weighs_as_much_as_the_others(gaussians):
    source, target, _ = gaussians
    labels = torch.tensor([3] + [0] * 9)
    weights = ClassBalancedReweighting().sample_weights(source[:10], labels, target[:20])
    assert weights[0].item() == pytest.approx(5)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_weights_are_reproducible_and_blind_to_scale(method, gaussians):
    source, target, _ = (x[:500] for x in gaussians)
    labels = torch.arange(500) % 3
    weights = method.sample_weights(source, labels, target)
    assert weights.shape == (500,) and weights.dtype == torch.float32
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(weights, method.sample_weights(source, labels, target))
    scaled = method.sample_weights(1000 * source, labels, 1000 * target)
    assert torch.allclose(weights, scaled, atol=1e-3)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("sizes", [(6, 1), (1, 6), (2, 2)])
def test_tiny_domains_give_finite_weights(method, sizes):
    source, target = (torch.randn(n, 50) for n in sizes)
    weights = method.sample_weights(source, torch.zeros(len(source)).long(), target)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights >= 0).all()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_random_features_tell_no_density(method):
    assert "random" in method.excludes


def test_domains_far_apart_still_leave_many_samples():
    torch.manual_seed(0)
    source, target = torch.randn(400, 10), torch.randn(300, 10) + 30
    weights = InstanceReweighting(most=5.0).sample_weights(source, torch.zeros(400), target)
    assert weights.sum() ** 2 / weights.square().sum() >= 79
