"""Alignment losses against closed forms, loops, and finite differences in float64."""

import math

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.dann import DANN
from automl_xfer_plugins.alignment.deep_coral import DeepCoral, coral_distance
from automl_xfer_plugins.alignment.gradient_reversal import reversal_strength
from automl_xfer_plugins.alignment.mk_mmd import (
    SCALES,
    MultiKernelMMD,
    mean_squared_distance,
    multi_kernel_mmd,
    squared_mmd,
)
from sklearn.metrics.pairwise import rbf_kernel
from torch.autograd import gradcheck
from torch.nn.functional import binary_cross_entropy_with_logits

from automl_xfer.components import Batch

LOSSES = [DeepCoral(), MultiKernelMMD(), DANN()]


@pytest.fixture
def features():
    """Unequal batches in float64: (7, 5) and (4, 5)."""
    torch.manual_seed(0)
    source, target = torch.randn(7, 5).double(), 2 * torch.randn(4, 5).double() + 1
    return source.requires_grad_(), target.requires_grad_()


def batch(features):
    return Batch(features, torch.zeros(len(features), 3))


def test_deep_coral_against_numpy(features):
    source, target = (x.detach().numpy() for x in features)
    gap = np.cov(source, rowvar=False) - np.cov(target, rowvar=False)
    expected = np.linalg.norm(gap) ** 2 / (4 * 5**2)
    loss = DeepCoral(weight=3.0).build(5, 3)
    assert loss(batch(features[0]), batch(features[1]), 0.5).item() == pytest.approx(3 * expected)


def test_deep_coral_of_scaled_copies():
    source = torch.randn(50, 2).double()
    covariance = torch.cov(source.T)
    expected = (9 * covariance.square().sum()) / 16  # covariances C and 4 C
    assert coral_distance(source, 2 * source + 7).item() == pytest.approx(expected.item())


def test_deep_coral_gradient(features):
    assert gradcheck(coral_distance, features)


def test_mmd_against_scikit_learns_kernel(features):
    source, target = (x.detach().numpy() for x in features)
    both = np.concatenate([source, target])
    distances = ((both[:, None] - both[None]) ** 2).sum(2)
    mean = distances.sum() / (11 * 10)
    expected = 0.0
    for scale in SCALES:
        gamma = 1 / (2 * scale * mean)
        ss, tt = rbf_kernel(source, gamma=gamma), rbf_kernel(target, gamma=gamma)
        st = rbf_kernel(source, target, gamma=gamma)
        expected += (ss.sum() - 7) / 42 + (tt.sum() - 4) / 12 - 2 * st.mean()
    loss = MultiKernelMMD(weight=0.5).build(5, 3)
    assert loss(batch(features[0]), batch(features[1]), 0.0).item() == pytest.approx(0.5 * expected)


def test_mmd_is_unbiased():
    torch.manual_seed(0)
    values = [multi_kernel_mmd(torch.randn(8, 3), torch.randn(12, 3)).item() for _ in range(400)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0


def test_mmd_gradient_with_bandwidths_held(features):
    mean = mean_squared_distance(*(x.detach() for x in features))
    variances = [scale * mean for scale in SCALES]
    assert gradcheck(lambda s, t: squared_mmd(s, t, variances), features)
    held = torch.autograd.grad(squared_mmd(*features, variances), features)
    ours = torch.autograd.grad(multi_kernel_mmd(*features), features)
    assert all(torch.allclose(a, b) for a, b in zip(held, ours, strict=True))


def test_dann_value_is_half_of_both_cross_entropies(features):
    loss = DANN(weight=2.0).build(5, 3).double()
    scores = [loss.discriminator(x) for x in features]
    expected = binary_cross_entropy_with_logits(scores[0], torch.ones(7, 1).double())
    expected = expected + binary_cross_entropy_with_logits(scores[1], torch.zeros(4, 1).double())
    value = loss(batch(features[0]), batch(features[1]), 0.3)
    assert value.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_dann_gradient_is_reversed_for_features_only(features, progress):
    loss = DANN(hidden=64).build(5, 3).double()
    parameters = list(loss.parameters())

    def plain(source, target):
        scores = torch.cat([loss.discriminator(source), loss.discriminator(target)])
        domains = torch.cat([torch.ones(7, 1), torch.zeros(4, 1)]).double()
        weights = torch.tensor([[1 / 14]] * 7 + [[1 / 8]] * 4, dtype=torch.float64)
        return binary_cross_entropy_with_logits(scores, domains, weights, reduction="sum")

    assert gradcheck(plain, features)
    straight = torch.autograd.grad(plain(*features), [*features, *parameters])
    value = loss(batch(features[0]), batch(features[1]), progress)
    ours = torch.autograd.grad(value, [*features, *parameters])
    factor = -reversal_strength(progress)
    for index, (expected, got) in enumerate(zip(straight, ours, strict=True)):
        assert torch.allclose(got, expected * (factor if index < 2 else 1), atol=1e-12)


def test_reversal_schedule():
    assert reversal_strength(0.0) == 0.0
    assert reversal_strength(0.1) == pytest.approx(math.tanh(0.5))
    assert reversal_strength(1.0) == pytest.approx(0.9999, abs=1e-4)


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
@pytest.mark.parametrize("sizes", [(1, 1), (1, 6), (6, 1)])
def test_tiny_batches_stay_finite(method, sizes):
    pair = [torch.randn(n, 5, requires_grad=True) for n in sizes]
    value = method.build(5, 3)(*(batch(x) for x in pair), 0.5)
    value.backward()
    assert value.isfinite()
    assert all(x.grad.isfinite().all() for x in pair)


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_sixteen_bit_features_give_a_32_bit_loss(method):
    torch.manual_seed(0)
    pair = [torch.randn(n, 5).bfloat16() for n in (16, 8)]
    loss = method.build(5, 3)
    exact = loss(*(batch(x.float()) for x in pair), 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*(batch(x) for x in pair), 0.5)
    assert value.item() == pytest.approx(exact.item(), rel=1e-2 if method.name == "dann" else 1e-5)


@pytest.mark.parametrize("method", [DeepCoral(), MultiKernelMMD()], ids=lambda m: m.name)
def test_descent_brings_the_domains_together(method):
    torch.manual_seed(0)
    source, target = torch.randn(40, 3), (3 * torch.randn(30, 3)).requires_grad_()
    loss = method.build(3, 2)
    optimizer = torch.optim.Adam([target], lr=0.1)
    first = loss(batch(source), batch(target), 1.0).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss(batch(source), batch(target), 1.0).backward()
        optimizer.step()
    assert loss(batch(source), batch(target), 1.0).item() < 0.3 * first
