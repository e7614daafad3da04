"""Class-regularised transport against POT's own solver and scikit-learn's ridge regression."""

import numpy as np
import ot
import pytest
import torch
from automl_xfer_plugins.alignment.class_regularised_ot import (
    SAMPLES,
    ClassRegularisedOT,
    balanced_sample,
    ridge_regression,
    scaled_cost,
    transport_plan,
)
from sklearn.linear_model import Ridge

CENTRES = np.array([[4.0, 0.0], [-2.0, 3.0], [-1.0, -4.0]])


@pytest.fixture
def domains():
    """(150, 2) source with labels, (100, 2) target: three clusters, turned by 30 degrees, moved."""
    random = np.random.default_rng(0)
    labels, hidden = np.arange(150) % 3, np.arange(100) % 3
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    source = CENTRES[labels] + random.normal(size=(150, 2))
    target = (CENTRES[hidden] + random.normal(size=(100, 2))) @ turn + 10
    return source, labels, target, hidden


def aligned_map(method, source, labels, target):
    aligned = method.align(
        torch.from_numpy(source).float(), torch.from_numpy(labels), torch.from_numpy(target).float()
    )
    assert aligned.target_map is None
    return aligned.source_map


@pytest.mark.filterwarnings("ignore:Sinkhorn did not converge")
def test_plan_is_the_one_of_pots_solver(domains):
    source, labels, target, _ = domains
    cost, uniform = scaled_cost(source, target), (np.full(150, 1 / 150), np.full(100, 1 / 100))
    expected = ot.da.sinkhorn_lpl1_mm(uniform[0], labels, uniform[1], cost, 0.1, eta=0.03)
    plan = transport_plan(cost, labels, 0.1, 0.03 * np.sqrt(100), 0.001 * 100)
    free = transport_plan(cost, labels, 0.1, 0.0)
    assert np.allclose(plan, expected, rtol=1e-3, atol=1e-9)
    assert np.abs(free - expected).max() > 0.1 * expected.max()


@pytest.mark.filterwarnings("ignore:Sinkhorn did not converge")
def test_map_against_pots_estimator_and_scikit_learns_ridge(domains):
    source, labels, target, _ = domains
    estimator = ot.da.SinkhornLpl1Transport(reg_e=0.1, reg_cl=0.03, norm="median")
    centred = source - source.mean(0)
    estimator.fit(Xs=centred, ys=labels, Xt=target - target.mean(0))
    moved = estimator.transform(Xs=centred) + target.mean(0)
    alpha = 0.5 * ((source - source.mean(0)) ** 2).sum() / 2
    fitted = Ridge(alpha=alpha).fit(source, moved - source)
    method = ClassRegularisedOT(entropy=0.1, separation=0.3, ridge=0.5)  # 0.3 = 0.03 sqrt(100)
    layer = aligned_map(method, source, labels, target)
    ours = layer(torch.from_numpy(source).float()).numpy()
    assert np.allclose(ours, source + fitted.predict(source), atol=1e-3)


def test_plan_has_uniform_marginals(domains):
    source, labels, target, _ = domains
    plan = transport_plan(scaled_cost(source, target), labels, 0.1, 0.3)
    assert np.allclose(plan.sum(1), 1 / 150, rtol=1e-4)
    assert np.allclose(plan.sum(0), 1 / 100, rtol=1e-3)


def test_separation_gives_each_target_one_class(domains):
    source, labels, target, _ = domains
    purity = []
    for separation in (0.03, 0.3, 3.0):
        plan = transport_plan(scaled_cost(source, target), labels, 0.2, separation)
        shares = np.stack([plan[labels == one].sum(0) for one in range(3)]) * 100
        purity.append(shares.max(0).mean())
    assert purity == sorted(purity)
    assert purity[0] < 0.93 and purity[-1] > 0.97


def test_classes_arrive_at_their_own_clusters(domains):
    source, labels, target, hidden = domains
    layer = aligned_map(ClassRegularisedOT(ridge=0.01), source, labels, target)
    moved = layer(torch.from_numpy(source).float()).numpy()
    for one in range(3):
        goal = target[hidden == one].mean(0)
        assert np.linalg.norm(moved[labels == one].mean(0) - goal) < 1.0
        assert np.linalg.norm(source[labels == one].mean(0) - goal) > 8


def test_strong_ridge_only_moves_the_mean():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 6)), random.normal(size=(40, 3))
    weak, strong = (ridge_regression(x, y, ridge) for ridge in (0.01, 1e6))
    assert np.abs(strong).max() < 1e-5 < 0.05 < np.abs(weak).max()


@pytest.mark.parametrize("shape", [(50, 4), (10, 30)])
def test_ridge_regression_against_scikit_learn(shape):
    random = np.random.default_rng(1)
    x, y = random.normal(size=shape) + 5, random.normal(size=(shape[0], 3)) - 2
    alpha = 0.7 * ((x - x.mean(0)) ** 2).sum() / shape[1]
    assert np.allclose(ridge_regression(x, y, 0.7), Ridge(alpha=alpha).fit(x, y).coef_.T)


def test_sample_is_balanced_as_far_as_the_classes_reach():
    labels = np.repeat([7, 3, 1], [100, 5, 60])
    chosen = balanced_sample(labels, 25)
    assert len(set(chosen)) == 25
    assert [int((labels[chosen] == one).sum()) for one in (7, 3, 1)] == [10, 5, 10]
    assert np.array_equal(chosen, balanced_sample(labels, 25))
    assert not np.array_equal(np.sort(chosen[labels[chosen] == 7]), np.arange(10))


def test_small_domain_is_taken_whole():
    assert sorted(balanced_sample(np.array([0, 1, 1, 0, 2]), 100)) == [0, 1, 2, 3, 4]


def test_only_the_sample_of_a_large_domain_counts():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, SAMPLES + 200)
    source, target = random.normal(size=(SAMPLES + 200, 3)), random.normal(size=(20, 3))
    left_out = np.setdiff1d(np.arange(len(labels)), balanced_sample(labels, SAMPLES))
    before = aligned_map(ClassRegularisedOT(), source, labels, target).weight
    source[left_out] += 100
    assert torch.equal(aligned_map(ClassRegularisedOT(), source, labels, target).weight, before)


@pytest.mark.parametrize("target", [np.ones((1, 40)), np.zeros((6, 40))])
def test_degenerate_domains_stay_finite(target):
    source = np.random.default_rng(0).normal(size=(12, 40))
    layer = aligned_map(ClassRegularisedOT(), source, np.arange(12) % 4 * 5, target)
    assert layer(torch.from_numpy(source).float()).isfinite().all()
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    flat = aligned_map(ClassRegularisedOT(), np.zeros((3, 40)), np.zeros(3, dtype=int), target)
    moved = flat(torch.zeros(1, 40))[0]
    assert torch.allclose(moved, torch.from_numpy(target[0]).float(), atol=1e-5)
