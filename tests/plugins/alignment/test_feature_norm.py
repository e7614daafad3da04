"""AFN: every feature is pulled outwards, none sideways."""

import pytest
import torch
from automl_xfer_plugins.alignment.afn import AdaptiveFeatureNorm

from automl_xfer.components import Batch


def batch(features):
    return Batch(features, torch.zeros(len(features), 3))


@pytest.fixture
def features():
    """(7, 5) and (4, 5) in float64."""
    torch.manual_seed(0)
    return [torch.randn(n, 5, dtype=torch.float64, requires_grad=True) for n in (7, 4)]


def test_value_is_the_squared_step_of_both_domains(features):
    value = AdaptiveFeatureNorm(weight=0.2).build(5, 3)(*map(batch, features), 0.5)
    assert value.item() == pytest.approx(2 * 0.2)


def test_gradient_is_minus_twice_the_direction(features):
    value = AdaptiveFeatureNorm(weight=0.2).build(5, 3)(*map(batch, features), 0.5)
    for x, gradient in zip(features, torch.autograd.grad(value, features), strict=True):
        direction = x / x.norm(dim=1, keepdim=True)
        assert torch.allclose(gradient, -2 * 0.2 * direction / len(x))


def test_a_whole_step_reaches_the_aim(features):
    """With held lengths r the loss is a parabola in ‖f‖: half its inverse curvature lands on r."""
    value = AdaptiveFeatureNorm(weight=0.5).build(5, 3)(*map(batch, features), 0.5)
    for x, gradient in zip(features, torch.autograd.grad(value, features), strict=True):
        moved = x - len(x) * gradient
        assert torch.allclose(moved.norm(dim=1), x.norm(dim=1) + 1)


def test_features_of_length_zero_have_no_direction():
    features = torch.zeros(3, 5, requires_grad=True)
    value = AdaptiveFeatureNorm().build(5, 3)(batch(features), batch(features), 0.5)
    (gradient,) = torch.autograd.grad(value, features)
    assert torch.equal(gradient, torch.zeros(3, 5))
