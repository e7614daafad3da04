"""Closed-form alignment against the moments it promises and against independent implementations."""

import numpy as np
import ot
import pytest
import torch
from automl_xfer_plugins.alignment.coral import ClosedFormCoral
from automl_xfer_plugins.alignment.linear_ot import LinearOptimalTransport
from automl_xfer_plugins.alignment.subspace import SubspaceAlignment
from scipy.linalg import sqrtm, subspace_angles
from sklearn.decomposition import PCA

SLIGHT = 1e-3  # the smallest ridge allowed


@pytest.fixture
def domains():
    """(400, 6) source, (300, 6) target: other means, other covariances, the same mean variance."""
    random = np.random.default_rng(0)
    source, target = (
        random.normal(size=(n, 6)) @ (random.normal(size=(6, 6)) / 4 + np.eye(6))
        for n in (400, 300)
    )
    target = target * np.sqrt(source.var(0, ddof=1).sum() / target.var(0, ddof=1).sum())
    return torch.from_numpy(source + 3).float(), torch.from_numpy(target - 1).float()


def moved(method, source, target):
    return method.align(source, torch.zeros(len(source), dtype=torch.int64), target)


def ridged(features, ridge):
    matrix = np.cov(features.numpy().astype(float), rowvar=False)
    return matrix + ridge * np.trace(matrix) / len(matrix) * np.eye(len(matrix))


@pytest.mark.parametrize("method", [ClosedFormCoral(SLIGHT), LinearOptimalTransport(SLIGHT)])
def test_source_moments_become_the_targets(method, domains):
    source, target = domains
    aligned = moved(method, source, target)
    mapped = aligned.source_map(source)
    assert aligned.target_map is None
    assert torch.allclose(mapped.mean(0), target.mean(0), atol=1e-4)
    size = torch.linalg.norm(torch.cov(target.T))
    assert torch.linalg.norm(torch.cov(mapped.T) - torch.cov(target.T)) < 0.02 * size


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_coral_against_scipy(ridge, domains):
    source, target = domains
    whiten, colour = np.linalg.inv(sqrtm(ridged(source, ridge))), sqrtm(ridged(target, ridge))
    expected = (source.numpy() - source.numpy().mean(0)) @ whiten @ colour + target.numpy().mean(0)
    mapped = moved(ClosedFormCoral(ridge), source, target).source_map(source)
    assert np.allclose(mapped.numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_linear_ot_against_pots_own_estimator(ridge, domains):
    source, target = (x.double().numpy() for x in domains)
    mapped = moved(LinearOptimalTransport(ridge), *domains).source_map(domains[0])
    absolute = ridge * source.var(0, ddof=1).mean()
    expected = ot.da.LinearTransport(reg=absolute).fit(Xs=source, Xt=target).transform(Xs=source)
    assert np.allclose(mapped.numpy(), expected, atol=0.01)  # POT's covariance is the biased one


def test_linear_ot_is_a_gradient_of_a_convex_function(domains):
    matrix = moved(LinearOptimalTransport(), *domains).source_map.weight
    assert torch.allclose(matrix, matrix.T, atol=1e-4)
    assert torch.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0


@pytest.mark.parametrize("method", [ClosedFormCoral(), LinearOptimalTransport()])
def test_equal_domains_stay_where_they_are(method, domains):
    source, _ = domains
    mapped = moved(method, source, source).source_map(source)
    assert torch.allclose(mapped, source, atol=1e-3)


@pytest.mark.parametrize(
    "method", [ClosedFormCoral(), LinearOptimalTransport(), SubspaceAlignment()]
)
def test_fewer_samples_than_dimensions(method):
    torch.manual_seed(0)
    source, target = torch.randn(20, 50), torch.randn(7, 50) + 1
    aligned = moved(method, source, target)
    mapped = aligned.source_map(source)
    assert mapped.isfinite().all()
    if aligned.target_map is not None:
        assert aligned.target_map(target).shape[1] == mapped.shape[1] == 6


def test_subspace_against_scikit_learns_axes(domains):
    torch.manual_seed(0)
    source, target = torch.randn(200, 30) * torch.arange(30), torch.randn(150, 30)
    target = target * torch.arange(30).flip(0) + 2
    aligned = moved(SubspaceAlignment(8), source, target)
    axes_s = PCA(8, svd_solver="full").fit(source.numpy()).components_.T
    axes_t = PCA(8, svd_solver="full").fit(target.numpy()).components_.T
    assert subspace_angles(aligned.target_map.weight.T.numpy(), axes_t).max() < 1e-3
    centred_s, centred_t = source - source.mean(0), target - target.mean(0)
    # Inner products between domains do not depend on the signs of the axes.
    ours = aligned.source_map(source) @ aligned.target_map(target).T
    theirs = centred_s.numpy() @ axes_s @ axes_s.T @ axes_t @ axes_t.T @ centred_t.numpy().T
    assert np.allclose(ours.numpy(), theirs, rtol=1e-3, atol=1e-2 * np.abs(theirs).max())


def test_maps_are_fixed(domains):
    aligned = moved(SubspaceAlignment(), *domains)
    for layer in (aligned.source_map, aligned.target_map):
        assert not any(parameter.requires_grad for parameter in layer.parameters())
