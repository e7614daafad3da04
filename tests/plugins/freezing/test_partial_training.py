"""Policies that train a part of the backbone: which part, in which epoch."""

import pytest
import torch
from automl_xfer_plugins.backbones.architecture import untrained
from automl_xfer_plugins.freezing.gradual_unfreezing import GradualUnfreezing
from automl_xfer_plugins.freezing.norm_and_bias import NormAndBias
from automl_xfer_plugins.freezing.surgical import SurgicalFineTuning
from torch import nn

from automl_xfer.components import ParameterInfo
from automl_xfer.transfer.model import apply_freezing


def trained_stages(policy, n_stages, epoch=0):
    infos = [ParameterInfo("weight", stage, n_stages, False, False) for stage in range(n_stages)]
    return [info.stage for info in infos if policy.is_trainable(info, epoch)]


@pytest.mark.parametrize(
    ("per_stage", "epoch", "trained"),
    [
        (1, 0, [3]),
        (1, 1, [2, 3]),
        (1, 9, [0, 1, 2, 3]),
        (2, 0, [3]),
        (2, 1, [3]),
        (2, 2, [2, 3]),
        (5, 14, [1, 2, 3]),
        (5, 15, [0, 1, 2, 3]),
    ],
)
def test_stages_thaw_from_the_top_one_by_one(per_stage, epoch, trained):
    assert trained_stages(GradualUnfreezing(per_stage), 4, epoch) == trained


def test_what_has_thawed_never_freezes_again():
    before = set()
    for epoch in range(30):
        now = set(trained_stages(GradualUnfreezing(3), 7, epoch))
        assert before <= now and len(now - before) <= 1
        before = now
    assert before == set(range(7))


@pytest.mark.parametrize(
    ("first", "width", "trained"),
    [
        (0.0, 0.0, [0]),
        (0.0, 0.4, [0, 1]),
        (0.0, 1.0, [0, 1, 2, 3, 4]),
        (0.2, 0.2, [1]),
        (0.39, 0.2, [1]),
        (0.6, 0.4, [3, 4]),
        (0.8, 1.0, [4]),
        (1.0, 0.0, [4]),
    ],
)
def test_surgery_trains_one_block(first, width, trained):
    assert trained_stages(SurgicalFineTuning(first, width), 5) == trained


@pytest.mark.parametrize("n_stages", [1, 2, 3, 13])
def test_surgery_always_trains_a_contiguous_stage_or_more(n_stages):
    for first in torch.linspace(0, 1, 9).tolist():
        for width in torch.linspace(0, 1, 9).tolist():
            trained = trained_stages(SurgicalFineTuning(first, width), n_stages)
            assert trained == list(range(trained[0], trained[-1] + 1))
            assert 1 <= len(trained) <= max(1, round(width * n_stages))


@pytest.mark.parametrize("architecture", ["resnet10t", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("train", ["both", "norms", "biases"])
def test_norms_and_biases_of_a_real_network(architecture, train):
    model = untrained(architecture)
    apply_freezing(model, NormAndBias(train), epoch=0)
    kinds = (nn.LayerNorm, nn.BatchNorm2d)
    norms = {id(p) for m in model.modules() if isinstance(m, kinds) for p in m.parameters()}
    biases = {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    expected = {"both": norms | biases, "norms": norms, "biases": biases}[train]
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == expected and norms and biases
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert count < 0.02 * sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("policy", [GradualUnfreezing, SurgicalFineTuning, NormAndBias])
def test_they_need_pretrained_weights_of_one_backbone(policy):
    assert policy.excludes == {"random", "fused"}
    assert policy.provides == {"trainable"}
