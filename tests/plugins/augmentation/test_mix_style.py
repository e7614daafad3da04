"""MixStyle against a loop in numpy, and where it acts."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.augmentation.mix_style import EPSILON, MixStyle, mix_style
from automl_xfer_plugins.backbones.timm_backbone import TimmBackbone

from automl_xfer.space.facts import objections


def reference(x, partner, share):
    out = np.empty_like(x)
    for i in range(len(x)):
        for c in range(x.shape[1]):
            own, other = x[i, c], x[partner[i], c]
            mean = share[i] * own.mean() + (1 - share[i]) * other.mean()
            deviations = [np.sqrt(plane.var() + EPSILON) for plane in (own, other)]
            deviation = share[i] * deviations[0] + (1 - share[i]) * deviations[1]
            out[i, c] = (own - own.mean()) / deviations[0] * deviation + mean
    return out


def test_equals_a_loop():
    random = np.random.default_rng(0)
    x, share = random.normal(2, 3, (5, 4, 6, 6)), random.uniform(size=5)
    partner = random.permutation(5)
    ours = mix_style(
        torch.from_numpy(x), torch.from_numpy(partner), torch.from_numpy(share).view(5, 1, 1, 1)
    )
    assert np.allclose(ours.numpy(), reference(x, partner, share), atol=1e-10)


@pytest.mark.parametrize(("share", "owner"), [(1.0, [0, 1, 2]), (0.0, [2, 0, 1])])
def test_the_ends_are_the_own_style_and_the_partners(share, owner):
    x = torch.randn(3, 2, 8, 8).double() * torch.tensor([1.0, 5.0, 9.0]).view(3, 1, 1, 1)
    mixed = mix_style(x, torch.tensor([2, 0, 1]), torch.full((3, 1, 1, 1), share).double())
    assert torch.allclose(mixed.mean((2, 3)), x[owner].mean((2, 3)))
    assert torch.allclose(mixed.std((2, 3)), x[owner].std((2, 3)), rtol=1e-5)
    if share == 1:
        assert torch.allclose(mixed, x)


def test_the_gradient_takes_the_statistics_for_constants():
    x = torch.randn(4, 2, 5, 5).double().requires_grad_()
    partner, share = torch.tensor([1, 2, 3, 0]), torch.rand(4, 1, 1, 1).double()
    mix_style(x, partner, share).sum().backward()
    with torch.no_grad():
        deviation = (x.var((2, 3), correction=0, keepdim=True) + EPSILON).sqrt()
        slope = (share * deviation + (1 - share) * deviation[partner]) / deviation
    assert torch.allclose(x.grad, slope.expand_as(x))


def test_sixteen_bits_keep_their_type_and_nearly_the_numbers():
    x = torch.randn(4, 3, 8, 8) + 30
    partner, share = torch.tensor([1, 2, 3, 0]), torch.rand(4, 1, 1, 1)
    short = mix_style(x.bfloat16(), partner, share)
    assert short.dtype == torch.bfloat16
    assert torch.allclose(short.float(), mix_style(x.bfloat16().float(), partner, share), atol=0.2)


def changed(policy, activations, stage, n_stages=5, tries=60):
    torch.manual_seed(0)
    results = [policy.between_stages(activations, stage, n_stages) for _ in range(tries)]
    return sum(not torch.equal(result, activations) for result in results)


@pytest.mark.parametrize("stages", [1, 3])
def test_it_acts_half_the_time_and_early_only(stages):
    policy, maps = MixStyle(stages=stages), torch.randn(6, 3, 7, 7)
    counts = [changed(policy, maps, stage) for stage in range(5)]
    assert all(15 < count < 45 for count in counts[:stages])
    assert counts[stages:] == [0] * (5 - stages)


def test_the_last_stage_is_never_mixed():
    maps = torch.randn(6, 3, 7, 7)
    assert changed(MixStyle(stages=3), maps, stage=1, n_stages=2) == 0
    assert changed(MixStyle(stages=3), maps, stage=0, n_stages=2) > 0


@pytest.mark.parametrize(
    ("architecture", "mixed"), [("resnet18", True), ("vit_tiny_patch16_224", False)]
)
def test_it_is_for_backbones_of_maps(architecture, mixed):
    facts = TimmBackbone(architecture).facts() | {"trainable"}
    assert objections(MixStyle, facts) == (() if mixed else ("needs 'maps'",))


@pytest.mark.parametrize("shape", [(6, 50, 32), (6, 7, 7, 32), (6, 32)])
def test_tokens_and_channels_last_maps_pass_unchanged(shape):
    assert changed(MixStyle(), torch.randn(shape), stage=0) == 0
