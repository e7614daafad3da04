"""Batch spectral shrinkage against numpy and finite differences."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.regularizers.bss import BatchSpectralShrinkage
from torch import nn
from torch.autograd import gradcheck

from automl_xfer.components import Batch


def term(smallest, weight=0.1):
    made = BatchSpectralShrinkage(weight=weight, smallest=smallest)
    loss = made.build(nn.Identity(), nn.Identity(), lambda: None)
    return lambda features: loss(Batch(features, features.new_zeros(len(features), 2)))


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
@pytest.mark.parametrize("smallest", [1, 3])
def test_sums_the_smallest_eigenvalues_of_the_gram_matrix(shape, smallest):
    features = np.random.default_rng(0).normal(size=shape)
    gram = features @ features.T if shape[0] < shape[1] else features.T @ features
    expected = np.sort(np.linalg.eigvalsh(gram))[:smallest].sum()
    ours = term(smallest)(torch.from_numpy(features)).item()
    assert ours == pytest.approx(0.1 * expected, rel=1e-10)


def test_rotating_features_and_shuffling_samples_change_nothing():
    features = torch.randn(5, 9).double()
    rotation, _ = torch.linalg.qr(torch.randn(9, 9).double())
    turned = features[torch.randperm(5)] @ rotation
    assert term(2)(turned).item() == pytest.approx(term(2)(features).item(), rel=1e-9)


def test_gradient():
    features = torch.randn(4, 6).double().requires_grad_()
    assert gradcheck(term(2), features)


def test_more_than_there_are_is_the_whole_square_norm():
    features = torch.randn(3, 7)
    whole = term(4)(features).item()
    assert whole == pytest.approx(0.1 * features.square().sum().item(), rel=1e-5)
    assert term(1)(torch.randn(1, 7)).item() > 0


def test_repeated_samples_have_no_weakest_direction_and_a_finite_gradient():
    features = torch.ones(4, 6, requires_grad=True)
    loss = term(1)(features)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-10)
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_diverged_features_give_nan_and_no_exception(bad):
    features = torch.randn(6, 12)
    features[2, 1] = bad
    assert term(3)(features).isnan()


def test_sixteen_bit_features_under_autocast():
    features = torch.randn(6, 12).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = term(1)(features)
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(term(1)(features.double()).item(), rel=1e-4)
