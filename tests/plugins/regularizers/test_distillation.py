"""Distillation against a sum in numpy, and its dealings with the teacher."""

import json

import numpy as np
import pytest
import torch
from automl_xfer_plugins.regularizers.distillation import Distillation
from torch import nn
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy

from automl_xfer.components import Batch


def term(temperature=2.0, weight=1.0):
    made = Distillation(weight=weight, temperature=temperature)
    loss = made.build(nn.Identity(), nn.Identity(), lambda: None)
    return lambda logits, teacher: loss(Batch(logits, logits, teacher=teacher))


def softmax(rows):
    shares = np.exp(rows - rows.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 3.5])
def test_equals_the_divergence_of_softened_logits(temperature):
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(7, 4)), random.normal(size=(7, 4))
    q, p = softmax(teacher / temperature), softmax(student / temperature)
    expected = 0.5 * temperature**2 * (q * np.log(q / p)).sum(1).mean()
    ours = term(temperature, 0.5)(*map(torch.from_numpy, (student, softmax(teacher))))
    assert ours.item() == pytest.approx(expected, rel=1e-9)


def test_the_teachers_own_logits_cost_nothing():
    logits = torch.randn(5, 3).double()
    assert term(4.0)(logits + 7, logits.softmax(1)).item() == pytest.approx(0, abs=1e-12)


def test_at_temperature_one_the_gradient_is_that_of_soft_cross_entropy():
    logits = torch.randn(5, 3).double().requires_grad_()
    teacher = torch.randn(5, 3).double().softmax(1)
    slopes = [
        torch.autograd.grad(loss(logits, teacher), logits)[0] for loss in (term(1.0), cross_entropy)
    ]
    assert torch.allclose(*slopes)


def test_gradient():
    teacher = torch.randn(4, 3).double().softmax(1)
    logits = torch.randn(4, 3).double().requires_grad_()
    assert gradcheck(lambda values: term(2.5)(values, teacher), logits)


def test_a_teacher_that_is_certain_keeps_the_term_finite():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = term(1.0)(logits, torch.eye(3)[[0, 1, 2, 0]])
    loss.backward()
    expected = cross_entropy(logits, torch.tensor([0, 1, 2, 0])).item()
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert logits.grad.isfinite().all()


def test_a_batch_without_a_teacher_adds_nothing():
    assert term()(torch.randn(4, 3), None).item() == 0


def test_it_asks_for_a_teacher_and_keeps_it_through_json():
    assert Distillation.distils
    named = Distillation(teacher='{"a": 1}')
    assert Distillation.from_dict(json.loads(json.dumps(named.to_dict()))) == named
    assert "teacher" not in Distillation.parameter_ranges()
