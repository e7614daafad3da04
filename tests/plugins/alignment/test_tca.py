"""Transfer component analysis against its matrices written out and against its limits."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.tca import TransferComponentAnalysis
from sklearn.decomposition import PCA


@pytest.fixture
def domains():
    """(120, 12) and (80, 12) with scales 1..12 and other means."""
    torch.manual_seed(0)
    scales = torch.arange(1, 13)
    return torch.randn(120, 12) * scales + 3, torch.randn(80, 12) * scales.roll(2) - torch.ones(12)


def mapped(method, source, target):
    aligned = method.align(source, torch.zeros(len(source), dtype=torch.int64), target)
    return aligned.source_map(source), aligned.target_map(target)


def products(source, target):
    """Inner products of all samples: what does not depend on the axes' signs."""
    both = torch.cat([source, target]).double().numpy()
    return both @ both.T


def linear_form(source, target, mu, dims):
    """Eigenvectors of (X L X' + mu I)^-1 X H X' (JDA's) with L and H written out."""
    x = torch.cat([source, target]).double().numpy().T
    e = np.concatenate(
        [np.full(len(source), 1 / len(source)), np.full(len(target), -1 / len(target))]
    )
    centring = np.eye(x.shape[1]) - 1 / x.shape[1]
    scatter = x @ centring @ x.T
    penalty = mu * np.trace(scatter) / (x.shape[1] - 1) / len(x)
    values, vectors = np.linalg.eig(
        np.linalg.inv(x @ np.outer(e, e) @ x.T + penalty * np.eye(len(x))) @ scatter
    )
    w = vectors[:, np.argsort(-values.real)[:dims]].real
    w = w / np.sqrt((w * (scatter @ w)).sum(0))  # W' X H X' W = I
    return (centring @ x.T @ w) * np.sqrt(x.shape[1] - 1)


@pytest.mark.parametrize("mu", [0.01, 1.0, 50.0])
def test_components_are_those_of_the_linear_form(mu, domains):
    expected = linear_form(*domains, mu, 8)
    ours = products(*mapped(TransferComponentAnalysis(8, mu), *domains))
    assert np.allclose(ours, expected @ expected.T, atol=1e-3)


def test_components_have_unit_variance_and_no_correlation(domains):
    both = torch.cat(mapped(TransferComponentAnalysis(8), *domains))
    assert torch.allclose(torch.cov(both.T), torch.eye(8), atol=1e-4)
    assert both.mean(0).abs().max() < 1e-5


def test_a_strong_penalty_leaves_whitened_principal_components(domains):
    source, target = domains
    close = target - target.mean(0) + source.mean(0)
    both = torch.cat([source, close]).double().numpy()
    expected = PCA(8, whiten=True, svd_solver="full").fit_transform(both)
    ours = products(*mapped(TransferComponentAnalysis(8, 100.0), source, close))
    assert np.allclose(ours, expected @ expected.T, atol=1e-2)


def test_a_weak_penalty_drops_the_direction_between_the_means():
    torch.manual_seed(0)
    source, target = torch.randn(300, 9), torch.randn(200, 9)
    target[:, 4] += 6
    near, far = mapped(TransferComponentAnalysis(8, 0.01), source, target)
    whitened = PCA(8, whiten=True).fit_transform(torch.cat([source, target]).numpy())
    gap = np.linalg.norm(whitened[:300].mean(0) - whitened[300:].mean(0))
    assert torch.linalg.norm(near.mean(0) - far.mean(0)) < 0.2 < 1.5 < gap


def test_scale_place_and_axes_of_the_features_do_not_matter(domains):
    turn, _ = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(1)))
    before = products(*mapped(TransferComponentAnalysis(8), *domains))
    changed = [30 * x @ turn - 4 for x in domains]
    after = products(*mapped(TransferComponentAnalysis(8), *changed))
    assert np.allclose(before, after, atol=1e-2)


def test_fewer_samples_than_dimensions():
    torch.manual_seed(0)
    source, target = torch.randn(5, 40), torch.randn(4, 40) + 1
    near, far = mapped(TransferComponentAnalysis(32), source, target)
    assert near.shape == (5, 8) and far.shape == (4, 8)
    both = torch.cat([near, far])
    assert torch.allclose(torch.cov(both.T), torch.eye(8), atol=1e-3)


def test_both_maps_are_fixed_equal_and_apart(domains):
    aligned = TransferComponentAnalysis(8).align(domains[0], torch.zeros(120).long(), domains[1])
    left, right = aligned.source_map, aligned.target_map
    assert torch.equal(left.weight, right.weight) and torch.equal(left.bias, right.bias)
    assert left.weight.data_ptr() != right.weight.data_ptr()
    assert not any(p.requires_grad for p in (*left.parameters(), *right.parameters()))
