"""Estimators on labelled features against scikit-learn, scipy and direct evaluation."""

import math

import numpy as np
import pytest
import torch
from automl_xfer_plugins.transferability import log_me
from automl_xfer_plugins.transferability.h_score import HScore
from automl_xfer_plugins.transferability.log_me import LogME
from automl_xfer_plugins.transferability.nearest_neighbour import NearestNeighbour
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, ortho_group
from sklearn.covariance import ledoit_wolf
from sklearn.cross_decomposition import CCA
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

ALL = [NearestNeighbour(), LogME(), HScore()]
SIZES = [(60, 5), (40, 90)]  # tall and wide


def classes_apart(n, d, apart=1.0, k=3, seed=0):
    """(n, d) features and (n,) labels, the class means `apart` standard deviations."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % k
    means = random.normal(size=(k, d)) * apart
    features = means[labels] + random.normal(size=(n, d)) + 2
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def estimate(estimator, features, labels):
    return estimator.estimate(features, labels, features[:0])


@pytest.mark.parametrize("n, d", SIZES)
def test_nearest_neighbour_against_scikit_learns_leave_one_out(n, d):
    features, labels = classes_apart(n, d, 0.3)
    centred = (features - features.mean(0)).numpy()
    neighbour = KNeighborsClassifier(1, metric="cosine")
    expected = cross_val_score(neighbour, centred, labels.numpy(), cv=LeaveOneOut()).mean()
    assert 0.35 < expected < 0.95
    assert estimate(NearestNeighbour(), features, labels) == pytest.approx(expected)


def test_nearest_neighbour_of_a_single_image_is_not_itself():
    assert estimate(NearestNeighbour(), torch.ones(1, 3), torch.tensor([0])) == 0


def largest_evidence(features, y):
    """max of ln N(y; 0, I/β + FFᵀ/α) over α and β, with no algebra of ours."""
    gram = features @ features.T

    def negative(logarithms):
        alpha, beta = np.exp(logarithms)
        covariance = np.eye(len(y)) / beta + gram / alpha
        return -multivariate_normal(np.zeros(len(y)), covariance).logpdf(y)

    found = [minimize(negative, s, method="Nelder-Mead", tol=1e-4) for s in [(0, 0), (5, 3)]]
    return -min(each.fun for each in found)


def mean_largest_evidence(features, labels):
    exact = features.double().numpy()
    each = [largest_evidence(exact, (labels == k).double().numpy()) for k in labels.unique()]
    return np.mean(each) / len(labels)


@pytest.mark.parametrize("apart", [0.0, 0.3, 1.0])
def test_log_me_of_tall_features_against_the_evidence_maximised_by_scipy(apart):
    features, labels = classes_apart(30, 4, apart, k=2)
    expected = mean_largest_evidence(features, labels)
    assert estimate(LogME(), features, labels) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("apart", [0.0, 0.1, 1.0])
def test_log_me_of_wide_features_climbs_towards_that_maximum(apart, monkeypatch):
    features, labels = classes_apart(20, 45, apart, k=2)
    expected = mean_largest_evidence(features, labels)
    assert expected - 0.05 < estimate(LogME(), features, labels) < expected + 1e-4
    monkeypatch.setattr(log_me, "_ROUNDS", 2000)  # 11 do not suffice here; the limit is exact
    monkeypatch.setattr(log_me, "_TOLERANCE", 1e-9)
    assert estimate(LogME(), features, labels) == pytest.approx(expected, abs=1e-4)


def papers_evidence(f, y):
    """The formula of the docstring, maximised over α and β."""
    (n, d), squares = f.shape, np.linalg.svd(f, compute_uv=False) ** 2

    def negative(logarithms):
        a, b = np.exp(logarithms)
        m = b * np.linalg.solve(a * np.eye(d) + b * f.T @ f, f.T @ y)
        gain = d / 2 * math.log(a) + n / 2 * math.log(b) - np.log(a + b * squares).sum() / 2
        loss = b / 2 * ((y - f @ m) ** 2).sum() + a / 2 * m @ m + n / 2 * math.log(2 * math.pi)
        return loss - gain

    return -minimize(negative, (0, 0), method="Nelder-Mead", tol=1e-6).fun


def test_log_me_against_the_papers_formula():
    features, labels = classes_apart(60, 5)
    exact = features.double().numpy()
    expected = [papers_evidence(exact, (labels == k).double().numpy()) / 60 for k in range(3)]
    assert estimate(LogME(), features, labels) == pytest.approx(np.mean(expected), abs=1e-4)


def test_features_that_differ_by_class_score_higher():
    near, far = (classes_apart(90, 20, apart) for apart in (0.2, 1.0))
    for estimator in ALL:
        assert estimate(estimator, *far) > estimate(estimator, *near) + 0.05


@pytest.mark.parametrize("n, d", SIZES)
def test_h_score_against_a_direct_inverse(n, d):
    features, labels = classes_apart(n, d)
    f = features.double().numpy()
    covariance, shrinkage = ledoit_wolf(f)
    means = np.stack([f[labels == k].mean(0) for k in range(3)])[labels.numpy()]
    between = np.cov(means, rowvar=False, bias=True)
    expected = np.trace(np.linalg.inv(covariance) @ between) * (1 - shrinkage)
    assert estimate(HScore(), features, labels) == pytest.approx(expected, rel=1e-3)


def test_h_score_of_many_images_is_the_sum_of_squared_canonical_correlations():
    torch.manual_seed(0)
    labels = torch.arange(20_000) % 3
    features = torch.randn(20_000, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0])
    features = features + torch.randn(3, 4)[labels]
    one_hot = torch.nn.functional.one_hot(labels).double()[:, :2].numpy()
    x, y = CCA(2, tol=1e-9).fit_transform(features.double().numpy(), one_hot)
    expected = sum(np.corrcoef(x[:, i], y[:, i])[0, 1] ** 2 for i in range(2))
    assert estimate(HScore(), features, labels) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
@pytest.mark.parametrize("n, d", SIZES)
def test_a_rotation_a_scale_and_other_names_of_the_classes_change_nothing(estimator, n, d):
    features, labels = classes_apart(n, d, 0.3)
    rotation = torch.from_numpy(ortho_group.rvs(d, random_state=0)).float()
    moved = 1000 * features @ rotation
    other_names = torch.tensor([7, 2, 4])[labels]
    before = estimate(estimator, features, labels)
    assert estimate(estimator, moved, other_names) == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
@pytest.mark.parametrize(
    "features",
    [torch.zeros(6, 4), torch.ones(6, 4), torch.eye(6), torch.ones(1, 4)],
    ids=["zero", "constant", "orthogonal", "single"],
)
def test_degenerate_features_get_a_finite_score(estimator, features):
    assert math.isfinite(estimate(estimator, features, torch.arange(len(features)) % 2))


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_half_precision_features_score_alike(estimator):
    features, labels = classes_apart(60, 90, 0.3)
    score = estimate(estimator, features, labels)
    assert estimate(estimator, features.half(), labels) == pytest.approx(score, rel=0.02, abs=0.02)


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_they_judge_by_the_targets_labels_alone(estimator):
    assert estimator.requires == {"target_labels"}
