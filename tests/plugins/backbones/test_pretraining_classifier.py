"""The classifier of the pretraining: that it is the right one, and no part of the model."""

import copy
import json
import pickle

import pytest
import timm
import torch
from automl_xfer_plugins.backbones.architecture import flexible_arguments, has_linear_classifier
from automl_xfer_plugins.backbones.stages import cut
from automl_xfer_plugins.backbones.timm_backbone import TimmBackbone

from automl_xfer.components import BackboneRequest

ARCHITECTURES = [
    "mobilenetv1_100",
    "mobilenetv3_large_100",
    "resnet18",
    "regnetx_002",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "densenet121",
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_classifier_on_pooled_features_gives_the_models_logits(architecture):
    torch.manual_seed(0)
    options = flexible_arguments(architecture, "{}")
    whole = timm.create_model(architecture, num_classes=7, **options).eval()
    bare = timm.create_model(architecture, num_classes=0, **options).eval()
    bare.load_state_dict(whole.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64)
    assert has_linear_classifier(architecture, 7)
    with torch.no_grad():
        logits = whole.get_classifier()(cut(bare).eval()(images))
        assert torch.allclose(logits, whole(images), atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "classes"), [("resnet18", 0), ("deit_tiny_distilled_patch16_224", 1000)]
)
def test_none_and_two_classifiers_are_not_one(architecture, classes):
    assert not has_linear_classifier(architecture, classes)


@pytest.fixture
def with_classifier(tmp_path):
    """A folder in timm's local layout whose checkpoint has a classifier, and its whole model."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=5).eval()
    folder = tmp_path / "birds"
    folder.mkdir()
    config = {"mean": [0, 0, 0], "std": [1, 1, 1], "input_size": [3, 64, 64], "classifier": "fc"}
    entry = {"architecture": "resnet18", "num_classes": 5, "pretrained_cfg": config}
    (folder / "config.json").write_text(json.dumps(entry))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (birds,) = TimmBackbone.candidates(BackboneRequest(weights_dir=tmp_path))
    return birds, model


def test_a_folder_brings_its_classifier(with_classifier):
    birds, whole = with_classifier
    assert "classifier" in birds.facts()
    classifier = birds.build().classifier()
    assert torch.equal(classifier.weight, whole.fc.weight)
    assert torch.equal(classifier.bias, whole.fc.bias)


def test_its_weights_are_no_part_of_the_model(with_classifier):
    birds, _ = with_classifier
    built, bare = birds.build(), birds.build(pretrained=False)
    assert bare.classifier is None
    assert built.state_dict().keys() == bare.state_dict().keys()
    assert [name for name, _ in built.named_parameters()] == [n for n, _ in bare.named_parameters()]


def test_copies_and_other_processes_have_it_too(with_classifier):
    birds, whole = with_classifier
    for twin in (copy.deepcopy(birds.build()), pickle.loads(pickle.dumps(birds.build()))):
        assert torch.equal(twin.classifier().weight, whole.fc.weight)


def test_each_call_makes_a_fresh_one(with_classifier):
    birds, whole = with_classifier
    model = birds.build()
    with torch.no_grad():
        model.classifier().weight.zero_()
    assert torch.equal(model.classifier().weight, whole.fc.weight)
