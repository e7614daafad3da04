"""A bundle is the model that was trained: every kind of strategy comes back the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from automl_xfer.bundle import BundleDescription, Member, load_bundle, save_member
from automl_xfer.bundle.format import read_description
from automl_xfer.components import BackboneRequest
from automl_xfer.errors import BundleError
from automl_xfer.plugin.source import PluginSource
from automl_xfer.space.compose import Space
from automl_xfer.transfer.device import autocast
from automl_xfer.transfer.frozen_features import head_for, read_stages
from automl_xfer.transfer.model import TransferModel

FACTS = frozenset({"target_labels", "source", "unlabelled"})


@pytest.fixture(scope="module")
def catalog():
    return PluginSource().load()[1]


@pytest.fixture(scope="module")
def strategies(catalog, two_backbones):
    """Name -> strategy whose model has a structure of its own."""
    space = Space(
        catalog.classes,
        catalog.backbones(BackboneRequest(weights_dir=two_backbones, has_source=True)),
        FACTS,
    )
    small = Space(
        catalog.classes,
        catalog.backbones(BackboneRequest(patterns=("small-convnet",), has_source=True)),
        FACTS,
    )
    probe = {"freezing": "linear-probe", "head": "logistic-regression"}
    tuned = {"freezing": "full", "optimization": "adamw"}
    one = space.strategy("one", probe)
    # Numbers that an earlier version may have drawn.
    wide = {"name": "mlp", "width": 300, "dropout": 0.45}
    deep = {"name": "stage-fusion", "stages": 5, "combine": "concatenate"}
    return {
        "earlier width": replace(one, head=catalog.get("head", "mlp").from_dict(wide)),
        "earlier stages": replace(one, head=catalog.get("head", "stage-fusion").from_dict(deep)),
        "probe": one,
        "fused": space.strategy("one + two", probe),
        "subspace": space.strategy("one", {**probe, "alignment": "subspace-alignment"}),
        "mixture": space.strategy("one", {**probe, "alignment": "adabn-target-mixture"}),
        "label shift": space.strategy("one", {**probe, "alignment": "label-shift"}),
        "stages": space.strategy(
            "one", {**probe, "head": "stage-fusion"}, {"head.stage-fusion.combine": "learned"}
        ),
        "lora": space.strategy("one", {**tuned, "freezing": "lora", "head": "linear"}),
        "class means": space.strategy("one", {**probe, "head": "nearest-class-mean"}),
        "fine-tuned": space.strategy("one", {**tuned, "head": "linear"}),
        "scratch": space.strategy("scratch:resnet10t", {**tuned, "head": "linear"}),
        "source-pretrained": small.strategy("source-pretrained:small-convnet", probe),
    }


def assemble(strategy, seed):
    """A model of the strategy's structure with random weights in every part."""
    torch.manual_seed(seed)
    backbone = read_stages(strategy, strategy.backbone.build(pretrained=False))
    feature_map = None
    if strategy.alignment.name == "subspace-alignment":
        feature_map = torch.nn.Linear(backbone.feature_dim, 8)
    dim = 8 if feature_map is not None else backbone.feature_dim
    head = head_for(strategy, backbone).build(dim, 3)
    head = strategy.alignment.target_head(dim, 3, head) or head
    for tensor in head.state_dict().values():
        tensor.copy_(torch.rand_like(tensor) + 0.5)
    return TransferModel(backbone, head, feature_map).eval()


def write(folder, strategy, model):
    save_member(model, folder / "member-0")
    member = Member("member-0", 1.0, strategy.to_dict())
    BundleDescription("s", ("a", "b", "c"), 32, (member,), "d", "accuracy").write(folder)


@pytest.mark.parametrize(
    "kind",
    [
        "probe",
        "fused",
        "subspace",
        "mixture",
        "label shift",
        "stages",
        "lora",
        "class means",
        "fine-tuned",
        "scratch",
        "source-pretrained",
        "earlier width",
        "earlier stages",
    ],
)
def test_every_kind_of_strategy_comes_back_the_same(tmp_path, strategies, kind):
    model = assemble(strategies[kind], 3)
    for each in (model.backbone, *getattr(model.backbone, "members", ())):
        each.mean.fill_(0.4)  # the weights may want another than the bare architecture
        each.std.fill_(0.3)
    write(tmp_path, strategies[kind], model)
    loaded = load_bundle(tmp_path, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        images = model.backbone.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        rows = []
        for view in (images, images.flip(3)):
            with autocast("cpu"):
                features = model.backbone(view)
            rows.append(model.head(model.feature_map(features.float())).softmax(1))
        expected = (rows[0] + rows[1]) / 2
    np.testing.assert_allclose(loaded.probabilities(pixels), expected.numpy(), atol=1e-5)


@pytest.mark.usefixtures("full_precision")
def test_members_that_read_the_same_backbone_share_it_and_predict_the_same(tmp_path, strategies):
    """Three on one backbone, of which one reads its stages, and a fusion: two backbones compute."""
    kinds = ("probe", "label shift", "fused", "stages")
    models = [assemble(strategies[kind], 5) for kind in kinds]
    models[1].backbone.load_state_dict(models[0].backbone.state_dict())
    models[2].backbone.members[0].load_state_dict(models[0].backbone.state_dict())
    models[3].backbone.plain.load_state_dict(models[0].backbone.state_dict())
    members = []
    for place, (kind, model) in enumerate(zip(kinds, models, strict=True)):
        save_member(model, tmp_path / f"member-{place}")
        members.append(Member(f"member-{place}", 1 / 4, strategies[kind].to_dict()))
    BundleDescription("s", ("a", "b", "c"), 32, tuple(members), "d", "accuracy").write(tmp_path)
    assert len(list((tmp_path / "backbones").iterdir())) == 2
    loaded = load_bundle(tmp_path, device="cpu")
    first, second, fused, staged = (model.backbone for model in loaded.models)
    assert first is second is fused.members[0] is staged.plain
    for n in (4, 70):  # from 64 images on batch norms are folded
        pixels = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        with torch.no_grad():
            tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            rows = [
                model.head(model.feature_map(model.backbone(view))).softmax(1)
                for model in models
                for images in [model.backbone.normalise(tensor)]
                for view in (images, images.flip(3))
            ]
        expected = torch.stack(rows).mean(0).numpy()
        np.testing.assert_allclose(loaded.probabilities(pixels), expected, atol=1e-3)
        assert len(loaded._reader._fast) == (2 if n == 70 else 0)


def test_an_unreadable_image_is_named_and_the_others_keep_their_order(tmp_path, strategies):
    write(tmp_path, strategies["probe"], assemble(strategies["probe"], 0))
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.new("RGB", (40, 30), "red").save(path)
    paths[1].write_bytes(b"not an image")
    predictions = list(load_bundle(tmp_path, device="cpu").predict(paths))
    assert [p.path for p in predictions] == paths
    assert [p.label is None for p in predictions] == [False, True, False, False]
    assert "not an image" in predictions[1].problem
    assert sum(predictions[0].probabilities) == pytest.approx(1.0, abs=1e-5)


def test_what_is_no_bundle_says_so(tmp_path, strategies):
    with pytest.raises(BundleError, match="is not a bundle"):
        read_description(tmp_path)
    write(tmp_path, strategies["probe"], assemble(strategies["probe"], 0))
    (tmp_path / "member-0" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load_bundle(tmp_path, device="cpu")


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")]
)
def test_a_lost_or_damaged_backbone_says_so(tmp_path, strategies, damage):
    write(tmp_path, strategies["probe"], assemble(strategies["probe"], 0))
    (backbone,) = (tmp_path / "backbones").iterdir()
    damage(backbone)
    with pytest.raises(BundleError, match=r"cannot read the weights .*copy the bundle again"):
        load_bundle(tmp_path, device="cpu")
