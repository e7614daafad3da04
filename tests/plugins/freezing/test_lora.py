"""LoRA: starts from the pretrained function, trains the update alone, merges without a trace."""

import copy

import pytest
import torch
from automl_xfer_plugins.backbones.architecture import untrained
from automl_xfer_plugins.freezing.lora import LoRA
from torch import nn

from automl_xfer.components import StagedModel
from automl_xfer.transfer.model import apply_freezing

MODELS = ["mobilenetv1_100", "resnet18", "vit_tiny_patch16_224"]
IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def network(architecture):
    """A network with random weights whose features differ between images, in evaluation mode."""
    torch.manual_seed(0)
    return untrained(architecture).eval()


def own_weights(backbone):
    """Its state by the names it had before it was wrapped."""
    state = backbone.state_dict()
    return {k.replace(".base_layer", ""): v for k, v in state.items() if "lora_" not in k}


def train(backbone, policy, steps=3):
    """A few steps that change the features of the images."""
    apply_freezing(backbone, policy, epoch=0)
    parameters = [p for p in backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        features = nn.functional.normalize(backbone(IMAGES), dim=1)
        (features[0] @ features[1] - features[0] @ features[2]).backward()
        optimizer.step()


@pytest.mark.parametrize("architecture", MODELS)
def test_a_real_network_is_wrapped_trained_and_unwrapped(architecture):
    backbone, policy = network(architecture), LoRA(rank=4)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with torch.no_grad():
        start = backbone(IMAGES)
        policy.wrap(backbone)
        assert torch.equal(backbone(IMAGES), start)
    train(backbone, policy)
    own = own_weights(backbone)
    assert list(own) == list(before)
    assert all(torch.equal(own[name], before[name]) for name in before)
    with torch.no_grad():
        wrapped = backbone(IMAGES)
        policy.unwrap(backbone)
        unwrapped = backbone(IMAGES)
    assert (wrapped - start).abs().max() > 1e-3 * start.abs().max()
    assert (unwrapped - wrapped).abs().max() < 1e-4 * (wrapped - start).abs().max()
    assert list(backbone.state_dict()) == list(before)
    assert not any("lora" in type(module).__module__ for module in backbone.modules())


@pytest.mark.parametrize("architecture", MODELS)
def test_only_the_update_trains_and_all_of_it(architecture):
    backbone, policy = network(architecture), LoRA()
    policy.wrap(backbone)
    assert apply_freezing(backbone, policy, epoch=0) == 0
    trained = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in backbone.named_parameters() if "lora_" in name}
    suits = (nn.Linear, nn.Conv2d)
    plain = [m for m in network(architecture).modules() if type(m) in suits]
    adapted = sum(getattr(module, "groups", 1) == 1 for module in plain)
    assert len(trained) == 2 * adapted
    backbone(IMAGES).square().sum().backward()
    missing = [n for n, p in backbone.named_parameters() if n in trained and p.grad is None]
    assert missing == []


def test_the_merged_update_is_alpha_over_rank_times_b_a():
    backbone = StagedModel([nn.Linear(6, 5)], nn.Identity(), 5, mean=(0,) * 3, std=(1,) * 3)
    weight = backbone.stages[0].weight.detach().clone()
    policy = LoRA(rank=4, alpha=8)
    policy.wrap(backbone)
    a, b = (getattr(backbone.stages[0], name)["default"].weight for name in ("lora_A", "lora_B"))
    with torch.no_grad():
        b.normal_()
    policy.unwrap(backbone)
    assert (a.shape, b.shape) == ((4, 6), (5, 4))
    assert torch.allclose(backbone.stages[0].weight - weight, 8 / 4 * b @ a, atol=1e-6)


def test_layers_whose_update_cannot_be_merged_stay_as_they_are():
    class Standardised(nn.Conv2d):
        def forward(self, images):
            return self._conv_forward(images, self.weight - self.weight.mean(), self.bias)

    stage = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        Standardised(4, 4, 3),
        nn.Conv2d(4, 8, 1),
    )
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8))
    backbone = StagedModel([stage], pool, 8, mean=(0,) * 3, std=(1,) * 3)
    LoRA().wrap(backbone)
    wrapped = {
        name.split(".lora_")[0] for name, _ in backbone.named_parameters() if "lora_" in name
    }
    assert wrapped == {"stages.0.4"}


def test_a_backbone_without_such_a_layer_stays_whole():
    backbone = StagedModel([nn.ReLU()], nn.Flatten(), 3, mean=(0,) * 3, std=(1,) * 3)
    twin = copy.deepcopy(backbone)
    LoRA().wrap(backbone)
    LoRA().unwrap(backbone)
    assert vars(backbone).keys() == vars(twin).keys()


def test_a_copy_of_a_wrapped_backbone_is_unwrapped_on_its_own():
    backbone, policy = network("resnet18"), LoRA()
    policy.wrap(backbone)
    twin = copy.deepcopy(backbone)
    train(twin, policy)
    policy.unwrap(twin)
    policy.unwrap(backbone)
    fresh = network("resnet18").state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in backbone.state_dict().items())
    assert not torch.equal(twin.stages[0][0].weight, fresh["stages.0.0.weight"])
