"""Optimizers take each group's own rate and step as their formulas say."""

import pytest
import torch
from automl_xfer_plugins.optimization.adamw import AdamW
from automl_xfer_plugins.optimization.closed_form import ClosedForm
from automl_xfer_plugins.optimization.sgd import SGD
from torch import nn

from automl_xfer.components import ParameterGroup
from automl_xfer.errors import ComponentError


def groups():
    parameters = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    return [ParameterGroup(parameters[:1], 1.0), ParameterGroup(parameters[1:], 0.1)]


@pytest.mark.parametrize("method", [AdamW(learning_rate=1e-3), SGD(learning_rate=1e-3)])
def test_each_group_has_its_own_rate(method):
    optimizer = method.build(groups())
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, 1e-4])
    assert all(group["weight_decay"] == method.weight_decay for group in optimizer.param_groups)


def test_adamw_first_step_is_the_rate_plus_the_decay():
    optimizer = AdamW(learning_rate=1e-3, weight_decay=0.1).build(groups())
    weight = optimizer.param_groups[0]["params"][0]
    (5 * weight).sum().backward()
    optimizer.step()
    assert weight.item() == pytest.approx(1 - 1e-3 * 0.1 - 1e-3, abs=1e-7)


def test_sgd_steps_with_nesterov_momentum():
    optimizer = SGD(learning_rate=0.1, weight_decay=1e-6).build(groups())
    weight = optimizer.param_groups[0]["params"][0]
    for _ in range(2):
        optimizer.zero_grad()
        (2 * weight).sum().backward()
        optimizer.step()
    # velocities 2 and 3.8; each step is rate * (gradient + 0.9 * velocity)
    assert weight.item() == pytest.approx(1 - 0.1 * (2 + 1.8) - 0.1 * (2 + 0.9 * 3.8), abs=1e-5)


def test_closed_form_has_nothing_to_step():
    assert ClosedForm.requires == {"frozen"}
    with pytest.raises(ComponentError, match="makes no gradient steps"):
        ClosedForm().build(groups())


@pytest.mark.parametrize("kind", [AdamW, SGD])
def test_ranges_cover_what_the_base_class_declares(kind):
    assert set(kind.parameter_ranges()) == {
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "backbone_scale",
        "layer_decay",
        "balance_classes",
    }
