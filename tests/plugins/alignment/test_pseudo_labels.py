"""Pseudo-label losses against loops over images, and what reaches the gradient."""

import math

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.confidence import confident_cross_entropy
from automl_xfer_plugins.alignment.fix_match import FixMatch
from automl_xfer_plugins.alignment.pseudo_label import PseudoLabel, ramp
from torch.autograd import gradcheck

from automl_xfer.components import Batch

K = 3
SOURCE = Batch(torch.zeros(5, 2), torch.zeros(5, K))


def batch(logits, strong=None):
    def with_logits(z):
        return Batch(torch.zeros(len(z), 2), z)

    return Batch(
        torch.zeros(len(logits), 2), logits, strong=None if strong is None else with_logits(strong)
    )


def loop(student, teacher, threshold, weights=(1.0,) * K):
    """The mean of the terms, image by image, and how many are sure."""
    total, sure = 0.0, 0
    for z, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = np.exp(t) / np.exp(t).sum()
        if p.max() > threshold:
            label = int(p.argmax())
            total += weights[label] * (math.log(np.exp(z).sum()) - z[label])
            sure += 1
    return total / len(student), sure


@pytest.fixture
def views():
    """Weak and strong logits (12, 3) in float64; about half of the weak ones are sure."""
    torch.manual_seed(0)
    return 3 * torch.randn(12, K).double(), torch.randn(12, K).double()


def test_fix_match_against_a_loop(views):
    weak, strong = views
    expected, sure = loop(strong, weak, 0.8)
    assert 3 <= sure <= 9
    loss = FixMatch(threshold=0.8, weight=2.0).build(2, K)
    assert loss(SOURCE, batch(weak, strong), 0.0).item() == pytest.approx(2 * expected)


def test_fix_match_looks_for_its_second_view(views):
    assert FixMatch.two_views and FixMatch.provides == {"two_views"}
    with pytest.raises(AssertionError):
        FixMatch().build(2, K)(SOURCE, batch(views[0]), 0.0)


def test_only_the_strong_view_gets_a_gradient(views):
    weak, strong = (z.requires_grad_() for z in views)
    FixMatch().build(2, K)(SOURCE, batch(weak, strong), 0.0).backward()
    assert weak.grad is None
    unsure = weak.softmax(1).max(1).values <= 0.9
    assert (strong.grad[unsure] == 0).all() and (strong.grad[~unsure] != 0).any(1).all()
    teacher = weak.detach()
    assert gradcheck(lambda z: confident_cross_entropy(z, teacher, 0.8), strong)


@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, 0.0), (0.1, 0.0), (0.35, 0.5), (0.6, 1.0), (1.0, 1.0)]
)
def test_pseudo_labels_against_a_loop_at_every_progress(progress, share, views):
    logits, _ = views
    expected, _ = loop(logits, logits, 0.8)
    loss = PseudoLabel(threshold=0.8, weight=3.0).build(2, K)
    assert ramp(progress) == pytest.approx(share)
    assert loss(SOURCE, batch(logits), progress).item() == pytest.approx(3 * share * expected)
    assert list(loss.state_dict()) == []


def test_the_unsure_do_not_train():
    logits = torch.zeros(4, K, requires_grad=True)
    for balance in (False, True):
        value = PseudoLabel(balance=balance).build(2, K)(SOURCE, batch(logits), 1.0)
        value.backward()
        assert value.item() == 0 and (logits.grad == 0).all()


def test_balanced_weights_follow_the_running_shares():
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    logits = 6 * torch.nn.functional.one_hot(labels, K).double()
    loss = PseudoLabel(threshold=0.9, balance=True).build(2, K)
    shares = np.full(K, 1 / 3)
    for _ in range(3):
        shares = 0.9 * shares + 0.1 * np.array([0.6, 0.3, 0.1])
        value = loss(SOURCE, batch(logits), 1.0).item()
        expected, _ = loop(logits, logits, 0.9, 1 / (K * shares))
        assert value == pytest.approx(expected, rel=1e-5)


def test_in_the_long_run_every_class_counts_alike():
    labels = torch.tensor([0] * 12 + [1] * 6 + [2] * 2)
    logits = (6 * torch.nn.functional.one_hot(labels, K).double()).requires_grad_()
    loss = PseudoLabel(threshold=0.9, balance=True).build(2, K)
    for _ in range(200):
        value = loss(SOURCE, batch(logits), 1.0)
    (gradient,) = torch.autograd.grad(value, logits)
    by_class = torch.stack([gradient[labels == k].abs().sum() for k in range(K)])
    assert torch.allclose(by_class, by_class.mean().expand(K), rtol=1e-4)
    plain = PseudoLabel(threshold=0.9).build(2, K)(SOURCE, batch(logits), 1.0)
    assert value.item() == pytest.approx(plain.item(), rel=1e-4)  # the mean weight is 1


def test_no_class_weighs_more_than_ten_times():
    loss = PseudoLabel(threshold=0.9, balance=True).build(2, K)
    often, rare = 8 * torch.eye(K)[:1].repeat(20, 1), 8 * torch.eye(K)[2:]
    for _ in range(300):
        loss(SOURCE, batch(often), 1.0)
    before = loss.shares.clone()
    value = loss(SOURCE, batch(torch.cat([often, rare])), 1.0).item()
    assert before[2] < 1e-6
    shares = 0.9 * before + 0.1 * torch.tensor([20 / 21, 0, 1 / 21])
    weights = 1 / (K * shares).clamp_min(0.1)
    expected, _ = loop(torch.cat([often, rare]), torch.cat([often, rare]), 0.9, weights.tolist())
    assert weights[1] == 10
    assert value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", [FixMatch(), PseudoLabel(), PseudoLabel(balance=True)], ids=str)
@pytest.mark.parametrize("size", [1, 40])
def test_sixteen_bit_logits_give_a_32_bit_loss(method, size):
    torch.manual_seed(0)
    weak, strong = (4 * torch.randn(size, K)).bfloat16(), torch.randn(size, K).bfloat16()
    exact = method.build(2, K)(SOURCE, batch(weak.float(), strong.float()), 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = method.build(2, K)(SOURCE, batch(weak, strong), 1.0)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)
