"""Activations at the freeze boundary: kept ones give what computed ones give."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from automl_xfer_plugins.augmentation import progressive_resizing
from automl_xfer_plugins.augmentation.flip_crop import FlipCrop
from automl_xfer_plugins.augmentation.none import NoAugmentation
from automl_xfer_plugins.backbones.stages import cut
from automl_xfer_plugins.freezing.frozen_depth import FrozenDepth
from automl_xfer_plugins.freezing.gradual_unfreezing import GradualUnfreezing
from automl_xfer_plugins.freezing.lora import LoRA
from automl_xfer_plugins.freezing.norm_and_bias import NormAndBias
from automl_xfer_plugins.freezing.surgical import SurgicalFineTuning

from automl_xfer.components import StagedModel
from automl_xfer.transfer import cache_folder
from automl_xfer.transfer.cache_folder import CacheFolder
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.frozen_prefix import freeze_boundary, frozen_prefix
from automl_xfer.transfer.parts import Part
from automl_xfer.transfer.pretrain import starting_backbone
from automl_xfer.transfer.stage_cache import (
    FLIP,
    PLAIN,
    VIEWS,
    FrozenPrefix,
    View,
    training_views,
)

FAMILIES = (
    "resnet10t",
    "mobilenetv1_100",
    "efficientnet_lite0",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "densenet121",
)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return cut(timm.create_model("resnet10t", num_classes=0)).eval()


def prefix_of(backbone, folder, boundary, **options):
    return FrozenPrefix(CacheFolder(folder), backbone, boundary, "cpu", **options)


def direct(backbone, part, boundary):
    with torch.no_grad():
        pixels = torch.from_numpy(np.array(part.image_set.images)).permute(0, 3, 1, 2)
        return backbone(backbone.normalise(pixels), 0, boundary)


def gap(found, expected):
    """The largest difference as a share of the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("architecture", FAMILIES)
def test_what_is_kept_is_what_is_computed_within_half_precision(architecture, make_part, tmp_path):
    torch.manual_seed(0)
    options = {"img_size": 64} if architecture.startswith(("vit", "swin")) else {}
    backbone = cut(timm.create_model(architecture, num_classes=0, **options)).eval()
    part = resized(make_part(3, 1), 64, tmp_path)
    for boundary in range(1, len(backbone.stages) + 1):
        prefix = prefix_of(backbone, tmp_path / "fresh" / str(boundary), boundary)
        kept = prefix.read(part)
        assert prefix.activations(part.image_set).dtype == np.float16
        assert gap(kept, direct(backbone, part, boundary)) < 2e-3
        with torch.no_grad():
            features = backbone(kept, boundary)
            assert gap(features, backbone(*normalised(backbone, part))) < 5e-3


def normalised(backbone, part):
    pixels = torch.from_numpy(np.array(part.image_set.images)).permute(0, 3, 1, 2)
    return (backbone.normalise(pixels),)


def resized(part, size, folder):
    images = torch.from_numpy(np.array(part.image_set.images)).permute(0, 3, 1, 2)
    larger = torch.nn.functional.interpolate(images, (size, size))
    path = folder / f"{part.image_set.key}-{size}.npy"
    np.save(path, larger.permute(0, 2, 3, 1).numpy())
    return Part.whole(replace(part.image_set, path=path, key=path.stem))


def test_a_deeper_boundary_starts_from_the_deepest_kept_below(
    backbone, make_part, tmp_path, monkeypatch
):
    part = make_part(6, 1)
    prefix_of(backbone, tmp_path, 1).activations(part.image_set)
    prefix_of(backbone, tmp_path, 2).activations(part.image_set)

    def unwanted(*args):
        raise AssertionError("computed anew")

    for stage in backbone.stages[:2]:
        monkeypatch.setattr(stage, "forward", unwanted)
    found = prefix_of(backbone, tmp_path, 4).read(part)
    monkeypatch.undo()
    assert gap(found, direct(backbone, part, 4)) < 2e-3


def test_weights_above_the_boundary_do_not_matter_and_those_below_do(backbone, make_part, tmp_path):
    part = make_part(4, 1)
    prefix_of(backbone, tmp_path, 2).activations(part.image_set)
    with torch.no_grad():
        next(backbone.stages[3].parameters()).add_(1)
    prefix_of(backbone, tmp_path, 2).activations(part.image_set)
    assert len(list(tmp_path.glob("stages-*"))) == 1
    with torch.no_grad():
        next(backbone.stages[1].parameters()).add_(1)
    changed = prefix_of(backbone, tmp_path, 2).read(part)
    assert len(list(tmp_path.glob("stages-*"))) == 2
    assert gap(changed, direct(backbone, part, 2)) < 2e-3


def test_batch_norm_statistics_below_the_boundary_matter(backbone, make_part, tmp_path):
    part = make_part(4, 1)
    before = prefix_of(backbone, tmp_path, 2).read(part)
    backbone.stages[0][1].running_mean.add_(0.5)
    assert gap(prefix_of(backbone, tmp_path, 2).read(part), before) > 1e-2


@pytest.mark.parametrize("damage", ["cut off", "empty", "no array", "rows missing"])
def test_a_broken_file_is_computed_again(backbone, make_part, tmp_path, damage):
    part = make_part(6, 1)
    expected = prefix_of(backbone, tmp_path, 2).read(part)
    (path,) = tmp_path.glob("stages-*")
    if damage == "rows missing":
        np.save(path, np.zeros((2, 3, 3, 8), np.float16))
    else:
        whole = path.read_bytes()
        kinds = {"cut off": whole[:-100], "empty": b"", "no array": b"x" * len(whole)}
        path.write_bytes(kinds[damage])
    assert torch.equal(prefix_of(backbone, tmp_path, 2).read(part), expected)


def test_what_a_killed_process_left_half_written_is_never_read(backbone, make_part, tmp_path):
    part = make_part(6, 1)

    class Killed(BaseException):
        pass

    def dies(batch):
        raise Killed

    prefix = prefix_of(backbone, tmp_path, 2)
    handle = backbone.stages[1].register_forward_pre_hook(lambda module, args: dies(args))
    with pytest.raises(Killed):
        prefix.activations(part.image_set)
    handle.remove()
    assert not list(tmp_path.glob("stages-*"))
    assert gap(prefix.read(part), direct(backbone, part, 2)) < 2e-3


def _read_in_child(folder, image_set, results):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    backbone = cut(timm.create_model("resnet10t", num_classes=0)).eval()
    views = training_views(FlipCrop(), 24, 3)
    prefix = prefix_of(backbone, folder, 2)
    results.put([np.array(prefix.activations(image_set, view)) for view in (PLAIN, *views)])


def test_processes_that_write_one_entry_at_once_agree(make_part, tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    images = make_part(40, 1).image_set
    children = [
        context.Process(target=_read_in_child, args=(tmp_path / "c", images, results))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    first, second = results.get(timeout=120), results.get(timeout=120)
    for child in children:
        child.join()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert len(list((tmp_path / "c").glob("*"))) == 4


def test_the_folder_keeps_to_its_limit_and_drops_what_was_read_longest_ago(
    backbone, make_part, tmp_path, monkeypatch
):
    import os

    prefix = prefix_of(backbone, tmp_path, 2)
    parts = [make_part(4, seed) for seed in range(3)]
    for part in parts:
        prefix.activations(part.image_set)
        for entry in prefix.cache.entries():
            os.utime(entry.path, (entry.read - 100, entry.read - 100))
    size = prefix.cache.entries()[0].size
    prefix.activations(parts[0].image_set)  # read again: now the youngest
    monkeypatch.setattr(cache_folder, "_MOST_BYTES", 2 * size)
    prefix.activations(make_part(4, 9).image_set)
    kept = {entry.path.name for entry in prefix.cache.entries()}
    assert prefix._name(parts[0].image_set, PLAIN, 2) in kept
    assert prefix._name(parts[1].image_set, PLAIN, 2) not in kept


def test_views_repeat_and_differ(backbone, make_part, tmp_path):
    part = make_part(6, 1)
    views = training_views(FlipCrop(), 24, 20)
    assert views == [*views[:VIEWS], *views[:VIEWS], *views[: 20 - 2 * VIEWS]]
    assert len(set(views)) == VIEWS
    assert training_views(NoAugmentation(), 24, 20) == [PLAIN] * 20
    first = prefix_of(backbone, tmp_path / "a", 1)
    again = prefix_of(backbone, tmp_path / "b", 1)
    state = torch.get_rng_state()
    read = [first.read(part, view=view) for view in views[:VIEWS]]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(again.read(part, view=views[2]), read[2])
    assert not torch.equal(read[0], read[1])


def test_the_mirror_view_is_the_mirror_image(backbone, make_part, tmp_path):
    part = make_part(6, 1)
    flipped = prefix_of(backbone, tmp_path, 1).read(part, view=FLIP)
    (images,) = normalised(backbone, part)
    with torch.no_grad():
        assert gap(flipped, backbone(images.flip(3), 0, 1)) < 2e-3


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (FrozenDepth(0.6), 3),
        (FrozenDepth(0.0), 0),
        (SurgicalFineTuning(0.4, 0.2), 2),
        (GradualUnfreezing(2), 3),  # 4 epochs: the top two stages
        (NormAndBias(), 0),
        (LoRA(), 0),
    ],
)
def test_the_boundary_is_the_lowest_that_any_epoch_trains(backbone, policy, expected):
    assert isinstance(backbone, StagedModel)
    assert freeze_boundary(backbone, policy, 4) == expected


def strategies(space, **parameters):
    names = {
        "freezing": "frozen-depth",
        "alignment": parameters.pop("alignment", "none"),
        "head": parameters.pop("head", "linear"),
        "augmentation": parameters.pop("augmentation", "none"),
        "optimization": "adamw",
    }
    fast = {"optimization.adamw.epochs": 6, "freezing.frozen-depth.depth": 0.5}
    return space.strategy("toy", names, {**fast, **parameters})


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize("alignment", ["none", "deep-coral", "source-first", "adabn"])
def test_cached_training_ends_with_the_same_weights(space, parts, context, alignment):
    strategy = strategies(space, alignment=alignment)
    plain = fit(strategy, parts, replace(context, stage_dtype=None))
    cached = fit(strategy, parts, replace(context, stage_dtype=np.float32))
    halved = fit(strategy, parts, context)
    assert list(context.cache.directory.glob("stages-*"))
    state = plain.model.state_dict()
    for name, value in cached.model.state_dict().items():
        assert torch.allclose(value, state[name], rtol=1e-3, atol=1e-4), name
    expected = plain.predict(parts.target)
    assert np.abs(cached.predict(parts.target) - expected).max() < 1e-3
    assert np.abs(halved.predict(parts.target) - expected).max() < 2e-2
    assert gap(halved.features(parts.target), plain.features(parts.target)) < 5e-2


def test_a_model_that_was_asked_after_an_epoch_trains_on_as_before(space, parts, context):
    strategy = strategies(space, head="mlp")  # which drops out
    expected = fit(strategy, parts, context).predict(parts.target)
    fitted = fit(strategy, parts, context, on_epoch=lambda _, model: model.eval())
    np.testing.assert_allclose(fitted.predict(parts.target), expected, atol=1e-4)


@pytest.mark.usefixtures("full_precision")
def test_without_target_labels_adapted_stages_are_the_same_for_all_and_kept(space, parts, context):
    strategy = strategies(space, alignment="adabn")
    alone = replace(parts, target=None)
    plain = fit(strategy, alone, replace(context, stage_dtype=None))
    cached = fit(strategy, alone, replace(context, stage_dtype=np.float32))
    (unlabelled,) = parts.unlabelled[1:]
    gap_of = np.abs(cached.predict(unlabelled) - plain.predict(unlabelled)).max()
    assert gap_of < 1e-3
    assert list(context.cache.directory.glob("stages-*"))


def test_the_frozen_stages_are_run_once_for_all_folds_and_epochs(
    space, parts, context, monkeypatch
):
    strategy = strategies(space, augmentation="flip-crop")
    fit(strategy, parts, context).predict(parts.target)
    assert len(list(context.cache.directory.glob("stages-*"))) == 6 + 2  # epochs, image and mirror
    calls = []
    compute = FrozenPrefix._compute
    monkeypatch.setattr(
        FrozenPrefix, "_compute", lambda self, *args: calls.append(args) or compute(self, *args)
    )
    half = replace(parts, target=parts.target.take(np.arange(8)))
    fit(strategy, half, replace(context, seed=1)).predict(parts.target)
    assert calls == []


@pytest.mark.parametrize("dtype", [None, np.float32])
def test_images_that_grow_reach_the_stages_in_their_size(space, parts, context, monkeypatch, dtype):
    monkeypatch.setattr(progressive_resizing, "STEP", 4)
    monkeypatch.setattr(progressive_resizing, "LEAST", 4)
    strategy = strategies(space, augmentation="progressive-resizing")
    seen, ended = [], []
    normalise = StagedModel.normalise

    def watched(self, images):
        seen.append(images.shape[-1])
        return normalise(self, images)

    monkeypatch.setattr(StagedModel, "normalise", watched)
    small = replace(context, stage_dtype=dtype)
    fitted = fit(strategy, parts, small, on_epoch=lambda *_: (ended.append({*seen}), seen.clear()))
    assert ended == [{16}, {16}, {16}, {20}, {20}, {24}]
    assert fitted.predict(parts.target).shape == (len(parts.target), parts.num_classes)


@pytest.mark.parametrize("augmentation", ["mixup-cutmix", "mix-style", "fgsm"])
def test_what_mixes_or_looks_inside_is_computed_each_time(space, parts, context, augmentation):
    strategy = strategies(space, augmentation=augmentation)
    fit(strategy, parts, context)
    assert not list(context.cache.directory.glob("stages-*"))


def test_stages_that_no_strategy_shares_are_not_kept(space, parts, context):
    strategy = strategies(space, **{"freezing.frozen-depth.depth": 0.0})
    backbone = starting_backbone(strategy.backbone, parts, context)
    assert frozen_prefix(strategy, backbone, context) is None


def test_a_view_is_known_by_its_key_alone():
    assert View("a", lambda x: x) == View("a", lambda x: x + 1)
