"""The cut models compute what timm's models compute, at every boundary."""

import copy
import json

import pytest
import timm
import torch
from automl_xfer_plugins.backbones.architecture import structure_facts, untrained
from automl_xfer_plugins.backbones.stages import cut, puts_out_maps

VIT = {"dynamic_img_size": True}
FAMILIES = [
    # architecture, options, image size, stages
    ("mobilenetv1_100", {}, 64, 6),
    ("mobilenetv2_100", {}, 64, 9),
    ("mobilenetv3_large_100", {}, 64, 9),
    ("efficientnet_b0", {}, 64, 9),
    ("resnet18", {}, 64, 5),
    ("regnetx_002", {}, 64, 5),
    ("convnext_atto", {}, 64, 5),
    ("convnext_tiny_hnf", {}, 32, 5),
    ("vit_tiny_patch16_224", VIT, 160, 13),
    ("vit_tiny_patch16_224", VIT | {"global_pool": "avg"}, 64, 13),
    ("vit_tiny_patch16_224", VIT | {"global_pool": "map"}, 64, 1),
    ("swin_tiny_patch4_window7_224", {"strict_img_size": False}, 96, 5),
    ("densenet121", {}, 64, 1),
]


@pytest.mark.parametrize(("architecture", "options", "size", "n_stages"), FAMILIES)
def test_cut_model_equals_the_timm_model(architecture, options, size, n_stages):
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=0, **options).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = model(images)
        staged = cut(model).eval()
        assert len(staged.stages) == n_stages
        assert torch.equal(staged(images), expected)
        assert expected.shape == (2, staged.feature_dim)
        activations = images
        for boundary in range(n_stages):
            activations = staged(activations, boundary, boundary + 1)
        assert torch.equal(staged.pool(activations), expected)


@pytest.mark.parametrize(("architecture", "options", "size", "n_stages"), FAMILIES)
def test_maps_are_known_without_running_the_model(architecture, options, size, n_stages):
    model = timm.create_model(architecture, num_classes=0, **options).eval()
    known, staged = puts_out_maps(model), cut(model).eval()
    activations, maps = torch.randn(2, 3, size, size), []
    with torch.no_grad():
        for stage in range(n_stages - 1):
            activations = staged(activations, stage, stage + 1)
            maps.append(activations.ndim == 4 and activations.shape[2] == activations.shape[3])
    assert known == (n_stages > 1 and all(maps))
    arguments = json.dumps(options)
    if "strict_img_size" not in options and "dynamic_img_size" not in options:
        assert known == ("maps" in structure_facts(architecture, arguments))


@pytest.mark.parametrize("architecture", ["resnet18", "vit_tiny_patch16_224", "densenet121"])
def test_every_parameter_is_in_a_stage_and_once(architecture):
    parameters = sum(p.numel() for p in timm.create_model(architecture, num_classes=0).parameters())
    staged = untrained(architecture)
    assert sum(p.numel() for p in staged.stages.parameters()) == parameters
    assert list(staged.pool.parameters()) == []
    pointers = [tensor.data_ptr() for tensor in staged.parameters()]
    assert len(pointers) == len(set(pointers))


@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "densenet121"])
def test_a_copy_is_whole_of_itself(architecture):
    staged = untrained(architecture).eval()
    twin = copy.deepcopy(staged)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = staged(images)
        for parameter in staged.parameters():
            parameter.zero_()
        assert torch.equal(twin(images), expected)


@pytest.mark.parametrize("size", [64, 100, 224])
def test_fixed_size_transformers_take_other_sizes(size):
    for architecture in ("vit_tiny_patch16_224", "vit_small_patch14_dinov2"):
        assert untrained(architecture).eval()(torch.randn(1, 3, size, size)).isfinite().all()


def test_normalisation_comes_from_the_pretrained_configuration():
    staged = untrained("mobilenetv1_100")
    config = timm.get_pretrained_cfg("mobilenetv1_100")
    assert tuple(staged.mean.flatten().tolist()) == pytest.approx(config.mean)
    assert tuple(staged.std.flatten().tolist()) == pytest.approx(config.std)
