"""Regularizers against torch's own loss and against finite differences."""

import pytest
import torch
from automl_xfer_plugins.freezing.lora import LoRA
from automl_xfer_plugins.regularizers.l2_sp import L2SP
from automl_xfer_plugins.regularizers.label_smoothing import LabelSmoothing
from automl_xfer_plugins.regularizers.none import NoRegularizer
from torch import nn
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy, one_hot

from automl_xfer.components import Batch


def no_images():
    raise AssertionError("these regularizers do not look at the images")


def labelled(logits, labels):
    return Batch(torch.zeros(len(logits), 2), logits, labels)


@pytest.mark.parametrize("soft", [False, True])
def test_label_smoothing_completes_the_cross_entropy(soft):
    torch.manual_seed(0)
    logits = torch.randn(9, 5).double()
    labels = one_hot(torch.arange(9) % 5, 5).double()
    if soft:
        labels = torch.rand(9, 5).double().softmax(1)
    term = LabelSmoothing(epsilon=0.2).build(nn.Identity(), nn.Identity(), no_images)
    whole = cross_entropy(logits, labels) + term(labelled(logits, labels))
    assert whole.item() == pytest.approx(
        cross_entropy(logits, labels, label_smoothing=0.2).item(), abs=1e-12
    )


def test_label_smoothing_gradient():
    labels = one_hot(torch.arange(4) % 3, 3).double()
    term = LabelSmoothing().build(nn.Identity(), nn.Identity(), no_images)
    logits = torch.randn(4, 3).double().requires_grad_()
    assert gradcheck(lambda values: term(labelled(values, labels)), logits)


def test_l2_sp_is_zero_at_the_start_but_for_the_head_and_grows_by_the_square():
    backbone, head = nn.Linear(3, 2), nn.Linear(2, 4)
    backbone.bias.requires_grad_(False)
    term = L2SP(beta_backbone=0.5, beta_head=0.1).build(backbone, head, no_images)
    batch = labelled(torch.zeros(1, 4), torch.zeros(1, 4))
    size = sum(parameter.square().sum().item() for parameter in head.parameters())
    assert term(batch).item() == pytest.approx(0.05 * size)
    with torch.no_grad():
        backbone.weight += 2
        backbone.bias += 100  # frozen: not counted
    assert term(batch).item() == pytest.approx(0.05 * size + 0.25 * 6 * 4, rel=1e-5)


def test_l2_sp_pulls_what_thaws_later_back_to_where_it_started():
    backbone = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    backbone[0].requires_grad_(False)
    term = L2SP(beta_backbone=0.5).build(backbone, nn.Identity(), no_images)
    batch = labelled(torch.zeros(1, 2), None)
    assert term(batch).item() == 0
    backbone[0].requires_grad_(True)  # as gradual unfreezing does
    with torch.no_grad():
        backbone[0].weight += 2
    term(batch).backward()
    assert term(batch).item() == pytest.approx(0.25 * 6 * 4, rel=1e-5)
    assert torch.allclose(backbone[0].weight.grad, torch.full((2, 3), 0.5 * 2))


def test_l2_sp_is_not_for_updates_beside_weights_that_stay():
    assert "low_rank" in L2SP.excludes & LoRA.provides


def test_l2_sp_gradient():
    backbone, head = nn.Linear(3, 2).double(), nn.Linear(2, 2).double()
    term = L2SP(beta_backbone=0.5, beta_head=0.1).build(backbone, head, no_images)
    start = backbone.weight.detach().clone()
    with torch.no_grad():
        backbone.weight += torch.randn(2, 3)
    term(labelled(torch.zeros(1, 2).double(), None)).backward()
    step = 1e-6
    for i in range(2):
        for j in range(3):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    backbone.weight[i, j] += sign * step
                    values.append(term(labelled(torch.zeros(1, 2).double(), None)).item())
                    backbone.weight[i, j] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert backbone.weight.grad[i, j].item() == pytest.approx(slope, abs=1e-7)
    assert torch.allclose(backbone.weight.grad, 0.5 * (backbone.weight - start).detach())


def test_l2_sp_with_all_frozen_is_zero():
    backbone, head = nn.Linear(3, 2).requires_grad_(False), nn.Identity()
    assert L2SP().build(backbone, head, no_images)(labelled(torch.zeros(1, 2), None)).item() == 0


def test_none_adds_no_term():
    assert NoRegularizer().build(nn.Identity(), nn.Identity(), no_images) is None
