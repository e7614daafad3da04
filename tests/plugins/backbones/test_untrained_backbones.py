"""Backbones without downloaded weights: scratch, and the one that the study pretrains."""

import json

import pytest
import torch
from automl_xfer_plugins.backbones.scratch import ScratchBackbone
from automl_xfer_plugins.backbones.small_convnet import small_convnet
from automl_xfer_plugins.backbones.source_pretrained import SourcePretrainedBackbone
from automl_xfer_plugins.backbones.timm_backbone import TimmBackbone

from automl_xfer.components import BackboneRequest


def test_small_convnet_is_small_and_cuts_at_every_stage():
    model = small_convnet().eval()
    assert 0.35e6 < sum(p.numel() for p in model.parameters()) < 0.45e6
    images = torch.randn(2, 3, 32, 32)
    features = model(images)
    assert features.shape == (2, 256)
    for boundary in range(1, 4):
        assert torch.equal(model(model(images, 0, boundary), boundary), features)


def test_the_small_convnet_is_offered_for_its_own_name_alone():
    asked = BackboneRequest(patterns=("small-convnet",), has_source=True)
    assert [c.label for c in ScratchBackbone.candidates(asked)] == ["scratch:small-convnet"]
    assert [c.label for c in SourcePretrainedBackbone.candidates(asked)] == [
        "source-pretrained:small-convnet"
    ]
    assert TimmBackbone.candidates(asked) == []
    alone = BackboneRequest(patterns=("small-convnet",))
    assert SourcePretrainedBackbone.candidates(alone) == []
    assert SourcePretrainedBackbone.candidates(BackboneRequest(has_source=True)) == []


def test_scratch_is_the_architecture_of_the_first_pretrained_candidate(tmp_path):
    request = BackboneRequest(patterns=("mobilenetv2_100.ra_in1k", "resnet18"))
    assert ScratchBackbone.candidates(request) == [ScratchBackbone("mobilenetv2_100")]
    folder = tmp_path / "mine"
    folder.mkdir()
    config = {"architecture": "mobilenetv1_100", "model_args": {"pad_type": "same"}}
    (folder / "config.json").write_text(json.dumps(config))
    (scratch,) = ScratchBackbone.candidates(BackboneRequest(weights_dir=tmp_path))
    assert scratch.label == "scratch:mobilenetv1_100"
    assert type(scratch.build().stages[0][0]).__name__ == "Conv2dSame"
    assert ScratchBackbone.candidates(BackboneRequest(patterns=("nothing-like-it",))) == []


def test_random_weights_follow_the_seed():
    def first_weight(backbone, seed):
        torch.manual_seed(seed)
        return next(backbone.build().parameters())

    scratch, source = ScratchBackbone("resnet18"), SourcePretrainedBackbone(seed=3)
    assert torch.equal(first_weight(scratch, 0), first_weight(scratch, 0))
    assert not torch.equal(first_weight(scratch, 0), first_weight(scratch, 1))
    assert torch.equal(first_weight(source, 0), first_weight(source, 1))
    assert not torch.equal(
        first_weight(source, 0), first_weight(SourcePretrainedBackbone(seed=4), 0)
    )


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    SourcePretrainedBackbone().build()
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("backbone", "facts"),
    [
        (ScratchBackbone("small-convnet"), {"random", "batch_norm", "stages", "maps"}),
        (ScratchBackbone("convnext_atto"), {"random", "stages", "maps"}),
        (SourcePretrainedBackbone(), {"source_pretrained", "batch_norm", "stages", "maps"}),
    ],
)
def test_facts_and_plain_data(backbone, facts):
    assert backbone.facts() == facts
    assert type(backbone).from_dict(json.loads(json.dumps(backbone.to_dict()))) == backbone
