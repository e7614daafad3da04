"""AdaBN: statistics of the target, nothing else."""

import pytest
import timm
import torch
from automl_xfer_plugins.alignment.adabn import AdaBN
from torch import nn


def test_statistics_become_the_mean_of_the_batches():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.9)).train()
    model(torch.randn(8, 3, 4, 4) + 50)  # statistics of another domain
    batches = [5 * torch.randn(6, 3, 4, 4) + 2, torch.randn(4, 3, 4, 4)]
    AdaBN().finish(model, iter(batches))
    norm = model[0]
    means = torch.stack([b.mean((0, 2, 3)) for b in batches])
    variances = torch.stack([b.transpose(0, 1).flatten(1).var(1) for b in batches])
    assert torch.allclose(norm.running_mean, means.mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var, variances.mean(0), rtol=1e-4)
    assert norm.momentum == 0.3
    assert model.training and norm.training


def test_parameters_and_modes_of_a_real_network_are_untouched():
    model = timm.create_model("resnet10t", num_classes=0).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    AdaBN().finish(model, [torch.randn(4, 3, 32, 32) + 3 for _ in range(2)])
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert changed
    assert all(name.endswith(("_mean", "_var", "_tracked")) for name in changed)
    assert not any(module.training for module in model.modules())


def test_no_batch_changes_nothing():
    norm = nn.BatchNorm1d(2)
    norm(torch.randn(9, 2) + 4)
    mean = norm.running_mean.clone()
    AdaBN().finish(norm, [])
    assert torch.equal(norm.running_mean, mean)


def test_statistics_without_tracking_are_left_alone():
    model = nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False), nn.BatchNorm1d(2)).eval()
    AdaBN().finish(model, [torch.randn(30, 2)])
    assert model[1].running_mean.abs().max() == pytest.approx(0, abs=1e-5)


def test_mix_keeps_a_share_of_the_pretrained_statistics():
    torch.manual_seed(0)
    norm, images = nn.BatchNorm1d(2).eval(), torch.randn(50, 2) * 3 + 8
    AdaBN(mix=0.3).finish(norm, [images])
    assert torch.allclose(norm.running_mean, 0.3 * images.mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var, 0.7 + 0.3 * images.var(0), atol=1e-4)
