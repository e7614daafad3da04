"""CDAN and MDD: values against numpy, gradients reversed for the features only."""

import math

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.cdan import CDAN, OuterProduct, RandomProduct
from automl_xfer_plugins.alignment.certainty import certainty
from automl_xfer_plugins.alignment.gradient_reversal import reversal_strength, reverse_gradient
from automl_xfer_plugins.alignment.mdd import MarginDisparity, difference_loss
from scipy.special import expit
from scipy.special import softmax as numpy_softmax
from scipy.stats import entropy
from torch import nn
from torch.autograd import gradcheck
from torch.nn.functional import one_hot

from automl_xfer.components import Batch


@pytest.fixture
def pair():
    """Unequal batches in float64: (7, 5) and (4, 5) features, three classes."""
    torch.manual_seed(0)
    return tuple(
        Batch(
            torch.randn(n, 5, dtype=torch.float64, requires_grad=True),
            2 * torch.randn(n, 3, dtype=torch.float64, requires_grad=True),
        )
        for n in (7, 4)
    )


def gradients(value, inputs):
    return torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)


def test_reversal_is_an_identity_with_a_negative_gradient():
    features = torch.randn(3, 2, requires_grad=True)
    turned = reverse_gradient(features, 0.25)
    assert torch.equal(turned, features)
    (gradient,) = gradients(turned.square().sum(), [features])
    assert torch.allclose(gradient, -0.5 * features)


def test_certainty_against_scipys_entropy():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=6)
    expected = 1 + np.exp(-entropy(probabilities, axis=1))
    assert np.allclose(certainty(torch.from_numpy(probabilities)).numpy(), expected)


def test_certainty_is_two_for_one_class_and_least_for_all_alike():
    probabilities = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.25] * 4])
    assert certainty(probabilities).tolist() == pytest.approx([2.0, 1.25])


def cdan_by_hand(discriminator, batch, domain):
    """Mean over a batch, sample by sample."""
    probabilities = numpy_softmax(batch.logits.detach().numpy(), axis=1)
    weights = 1 + np.exp(-entropy(probabilities, axis=1))
    total = 0.0
    for x, p, w in zip(batch.features.detach(), probabilities, weights, strict=True):
        share = expit(discriminator(torch.from_numpy(np.outer(x.numpy(), p)).flatten()).item())
        total -= w / weights.mean() * math.log(share if domain else 1 - share)
    return total / len(weights)


def test_cdan_against_a_loop_over_samples(pair):
    loss = CDAN(weight=2.0).build(5, 3).double()
    expected = sum(
        cdan_by_hand(loss.discriminator, batch, domain)
        for batch, domain in zip(pair, (1, 0), strict=True)
    )
    assert loss(*pair, 0.3).item() == pytest.approx(expected)


@pytest.mark.parametrize("progress", [0.0, 0.2, 1.0])
def test_cdan_gradient_is_reversed_for_the_features_only(pair, progress):
    loss = CDAN(hidden=64).build(5, 3).double()
    probabilities = [batch.logits.detach().softmax(1) for batch in pair]
    weights = [certainty(p) / certainty(p).mean() for p in probabilities]

    def plain(source, target):
        scores = [
            loss.discriminator((x[:, :, None] * p[:, None]).reshape(len(x), -1)).squeeze(1)
            for x, p in zip((source, target), probabilities, strict=True)
        ]
        on_source = nn.functional.softplus(-scores[0]) * weights[0]
        return (on_source.mean() + (nn.functional.softplus(scores[1]) * weights[1]).mean()) / 2

    features, parameters = [batch.features for batch in pair], list(loss.parameters())
    assert gradcheck(plain, features)
    straight = gradients(plain(*features), [*features, *parameters])
    ours = gradients(loss(*pair, progress), [*features, *parameters])
    for index, (expected, got) in enumerate(zip(straight, ours, strict=True)):
        factor = -reversal_strength(progress) if index < 2 else 1
        assert torch.allclose(got, expected * factor, atol=1e-12)


@pytest.mark.parametrize("method", [CDAN(), MarginDisparity()], ids=lambda method: method.name)
def test_predictions_are_held_constant(method, pair):
    value = method.build(5, 3).double()(*pair, 0.5)
    assert gradients(value, [batch.logits for batch in pair]) == (None, None)


def test_random_product_keeps_inner_products_on_average():
    torch.manual_seed(0)
    features = torch.randn(4, 6, dtype=torch.float64)
    probabilities = torch.randn(4, 3, dtype=torch.float64).softmax(1)
    short = RandomProduct(6, 3, width=400_000).double()(features, probabilities)
    exact = OuterProduct()(features, probabilities)
    assert torch.allclose(short @ short.T, exact @ exact.T, atol=0.02 * exact.square().sum(1).max())


@pytest.mark.parametrize(("feature_dim", "width"), [(512, 4096), (513, 1024)])
def test_cdan_projects_large_products_with_fixed_matrices(feature_dim, width):
    loss = CDAN(hidden=64).build(feature_dim, 8)
    assert loss.discriminator[0].in_features == width
    batch = Batch(torch.randn(3, feature_dim), torch.randn(3, 8))
    assert loss(batch, batch, 0.5).isfinite()
    trained = sum(parameter.numel() for parameter in loss.parameters())
    assert trained == sum(parameter.numel() for parameter in loss.discriminator.parameters())


def test_mdd_against_numpy(pair):
    loss = MarginDisparity(margin=3.0).build(5, 3).double()
    p_s, p_t = (
        numpy_softmax(loss.second(batch.features).detach().numpy(), axis=1) for batch in pair
    )
    h_s, h_t = (batch.logits.argmax(1).numpy() for batch in pair)
    expected = 3 * -np.log(p_s[np.arange(7), h_s]).mean()
    expected -= np.log(1 - p_t[np.arange(4), h_t]).mean()
    assert loss(*pair, 0.7).item() == pytest.approx(expected)


@pytest.mark.parametrize("progress", [0.0, 0.2, 1.0])
def test_mdd_gradient_is_reversed_and_small_for_the_features(pair, progress):
    loss = MarginDisparity(reversal=0.2, hidden=64).build(5, 3).double()
    classes = [one_hot(batch.logits.argmax(1), 3).bool() for batch in pair]

    def plain(source, target):
        p_s, p_t = (loss.second(x).softmax(1) for x in (source, target))
        return -4 * p_s[classes[0]].log().mean() - (1 - p_t[classes[1]]).log().mean()

    features, parameters = [batch.features for batch in pair], list(loss.parameters())
    straight = gradients(plain(*features), [*features, *parameters])
    ours = gradients(loss(*pair, progress), [*features, *parameters])
    for index, (expected, got) in enumerate(zip(straight, ours, strict=True)):
        factor = -0.2 * reversal_strength(progress) if index < 2 else 1
        assert torch.allclose(got, expected * factor, atol=1e-12)


def test_difference_gradient():
    torch.manual_seed(0)
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda z: difference_loss(z, torch.arange(6) % 4), [logits])


def test_difference_stays_finite_for_sure_agreement():
    logits = torch.tensor([[900.0, 100.0, 0.0], [100.0, 900.0, 0.0]], requires_grad=True)
    value = difference_loss(logits, torch.tensor([0, 0]))
    (gradient,) = gradients(value, [logits])
    assert value.item() == pytest.approx((800 + 0) / 2)
    assert torch.allclose(gradient, torch.tensor([[0.5, -0.5, 0.0], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("margin", [2.0, 4.0])
def test_on_equal_domains_the_second_classifier_agrees_with_probability_of_the_margin(margin):
    """γ · −log p − log(1 − p) is least at p = γ / (1 + γ)."""
    torch.manual_seed(0)
    loss = MarginDisparity(margin=margin, hidden=64).build(1, 2)
    batch = Batch(torch.ones(2, 1), torch.tensor([[1.0, 0.0]] * 2))
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss(batch, batch, 1.0).backward()
        optimizer.step()
    agreement = loss.second(batch.features).softmax(1)[0, 0].item()
    assert agreement == pytest.approx(margin / (1 + margin), abs=1e-3)
