"""MCC and BNM: losses of the target's predictions, against numpy and closed forms."""

import math

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.bnm import BatchNuclearNorm, mean_singular_value
from automl_xfer_plugins.alignment.certainty import certainty
from automl_xfer_plugins.alignment.mcc import MinimumClassConfusion, class_confusion
from scipy.special import softmax as numpy_softmax
from scipy.stats import entropy
from torch.autograd import gradcheck
from torch.nn.functional import one_hot

from automl_xfer.components import Batch

LOSSES = [MinimumClassConfusion(), BatchNuclearNorm()]


@pytest.fixture
def logits():
    """(9, 4) in float64."""
    torch.manual_seed(0)
    return 2 * torch.randn(9, 4, dtype=torch.float64, requires_grad=True)


def loss_of(method, logits):
    source = Batch(torch.randn(5, 3), torch.randn(5, logits.shape[1]))
    loss = method.build(3, logits.shape[1])
    return loss(source, Batch(torch.randn(len(logits), 3), logits), 0.5)


def test_mcc_against_numpys_confusion_matrix(logits):
    p = numpy_softmax(logits.detach().numpy() / 1.5, axis=1)
    weights = 1 + np.exp(-entropy(p, axis=1))
    weights = 9 * weights / weights.sum()
    confusion = (weights[:, None] * p).T @ p
    confusion = confusion / confusion.sum(1, keepdims=True)
    expected = (confusion.sum() - np.trace(confusion)) / 4
    value = loss_of(MinimumClassConfusion(weight=3.0, temperature=1.5), logits)
    assert value.item() == pytest.approx(3 * expected)


def test_mcc_gradient_with_weights_held(logits):
    weights = certainty((logits / 2.5).detach().softmax(1))
    assert gradcheck(lambda z: class_confusion(z, weights), [logits])
    held = torch.autograd.grad(class_confusion(logits / 2.5, weights), logits)
    ours = torch.autograd.grad(loss_of(MinimumClassConfusion(), logits), logits)
    assert torch.allclose(held[0], ours[0])


def test_mcc_is_nothing_for_sure_predictions_and_most_for_even_ones():
    sure = 1000.0 * one_hot(torch.arange(8) % 4, 4)
    assert loss_of(MinimumClassConfusion(), sure).item() == pytest.approx(0, abs=1e-6)
    even = loss_of(MinimumClassConfusion(), torch.zeros(8, 4))
    assert even.item() == pytest.approx(3 / 4)


def test_mcc_of_a_class_that_nobody_predicts():
    """Class 2 has probability e^-1000; its row is that of the only samples there are."""
    logits = torch.tensor([[1.0, 0.0, -1000.0]] * 3, requires_grad=True)
    value = loss_of(MinimumClassConfusion(temperature=1.0), logits)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(1 - 1 / 3)  # equal rows: the traces add up to 1
    assert gradient.isfinite().all()


def test_bnm_against_numpys_singular_values(logits):
    p = numpy_softmax(logits.detach().numpy(), axis=1)
    expected = -0.5 * np.linalg.svd(p, compute_uv=False).mean()
    assert loss_of(BatchNuclearNorm(weight=0.5), logits).item() == pytest.approx(expected)


def test_bnm_gradient(logits):
    assert gradcheck(lambda z: mean_singular_value(z.softmax(1)), [logits])


@pytest.mark.parametrize(
    ("classes", "expected"),
    [([0, 1, 2, 3] * 4, 2.0), ([0] * 16, 1.0), ([0] * 4 + [1] * 12, (2 + math.sqrt(12)) / 4)],
    ids=["balanced", "collapsed", "two classes"],
)
def test_bnm_of_sure_predictions(classes, expected):
    """The singular values are the square roots of the class counts."""
    logits = 1000.0 * one_hot(torch.tensor(classes), 4)
    assert loss_of(BatchNuclearNorm(), logits).item() == pytest.approx(-expected, rel=1e-6)


def test_bnm_of_fewer_images_than_classes_counts_the_images():
    logits = 1000.0 * torch.eye(3, 10)
    assert loss_of(BatchNuclearNorm(), logits).item() == pytest.approx(-1)


def test_bnm_gradient_is_finite_for_equal_predictions():
    logits = torch.zeros(8, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss_of(BatchNuclearNorm(), logits), logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_diverged_predictions_give_nan_and_no_exception(method):
    logits = torch.randn(6, 3)
    logits[2, 1] = torch.nan
    assert loss_of(method, logits).isnan()


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_order_of_images_and_of_classes_does_not_matter(method, logits):
    shuffled = logits[torch.randperm(9)][:, torch.randperm(4)]
    assert loss_of(method, shuffled).item() == pytest.approx(loss_of(method, logits).item())


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_descent_makes_predictions_sure_and_keeps_several_classes(method):
    torch.manual_seed(0)
    logits = torch.randn(24, 3).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        loss_of(method, logits).backward()
        optimizer.step()
    assert logits.softmax(1).max(1).values.mean() > 0.95
    assert len(logits.argmax(1).unique()) == 3
