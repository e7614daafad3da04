"""Trained weights: read again exactly as they were, for the same work only."""

import importlib
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from automl_xfer.transfer import kept_weights
from automl_xfer.transfer.cache_folder import CacheFolder
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.kept_weights import KeptWeights, averaged
from automl_xfer.transfer.model import _package_tree, tree_key
from automl_xfer.transfer.pretrain import starting_backbone

DEPTH = 0.5


def trained(space, freezing="lp-ft", **own):
    names = {"freezing": freezing, "alignment": "none", "head": "logistic-regression"}
    names["optimization"] = "adamw"
    own = {f"freezing.{freezing}.depth": DEPTH, **own}
    return space.strategy("toy", names, {"optimization.adamw.epochs": 5, **own})


@pytest.fixture
def kept(space, parts, context, catalog):
    """A fit whose weights were kept, and where."""
    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context, catalog.classes)
    assert not place.exists() and place.read(strategy, parts, context) is None
    fitted = fit(strategy, parts, context)
    place.write(fitted, strategy, parts, context, 12.5)
    return strategy, place, fitted


def test_what_is_read_predicts_bit_by_bit_what_was_written(kept, parts, context, make_part):
    strategy, place, fitted = kept
    assert place.exists()
    found = place.read(strategy, parts, context)
    assert found.spared == 12.5 and fitted.spared == 0
    for (name, one), other in zip(
        fitted.model.state_dict().items(), found.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert not any(p.requires_grad for p in found.model.parameters())
    new = make_part(10, 9)
    assert np.array_equal(found.predict(new), fitted.predict(new))


def test_only_what_training_changed_is_written(kept, parts, context):
    strategy, _, fitted = kept
    (file,) = context.cache.directory.glob("weights-*")
    size = sum(value.nbytes for value in fitted.model.state_dict().values())
    start = starting_backbone(strategy.backbone, parts, context).state_dict()
    state = fitted.model.backbone.state_dict()
    same = sum(value.nbytes for name, value in start.items() if torch.equal(value, state[name]))
    assert same > 0.05 * size
    assert file.stat().st_size < size - same + 20_000


def test_other_work_finds_nothing(kept, space, parts, context, make_part, catalog):
    strategy, place, _ = kept
    flipped = replace(parts.target, labels=1 - parts.target.labels)
    others = [
        (strategy, replace(parts, target=flipped), (), context),
        (strategy, replace(parts, target=parts.target.take(np.arange(8))), (), context),
        (strategy, replace(parts, target=make_part(16, 5)), (), context),
        (strategy, replace(parts, source=None), (), context),
        (strategy, parts, ("one", "two"), context),
        (strategy, parts, (), replace(context, seed=1)),
        (strategy, parts, (), replace(context, micro_batches=2)),
        (strategy, parts, (), replace(context, compiler="inductor")),
        (trained(space, **{"optimization.adamw.learning_rate": 1e-4}), parts, (), context),
    ]
    places = [KeptWeights.of(*other, catalog.classes) for other in others]
    assert len({place.digest, *(each.digest for each in places)}) == 1 + len(others)
    assert not any(each.exists() for each in places)


def test_other_starting_weights_find_nothing(kept, parts, context, monkeypatch):
    strategy, place, _ = kept
    begin = kept_weights.starting_backbone

    def other(*arguments, **options):
        model = begin(*arguments)
        with torch.no_grad():
            next(iter(model.parameters())).add_(1e-3)
        return model

    monkeypatch.setattr(kept_weights, "starting_backbone", other)
    assert place.exists()  # from whatever start
    assert place.read(strategy, parts, context) is None


@pytest.mark.parametrize("rest", [0, 100, 2000])
def test_a_damaged_file_is_not_used(kept, parts, context, rest):
    strategy, place, _ = kept
    (file,) = context.cache.directory.glob("weights-*")
    file.write_bytes(file.read_bytes()[:rest])
    assert place.read(strategy, parts, context) is None


def test_a_large_model_is_not_kept(space, parts, context, monkeypatch, catalog):
    monkeypatch.setattr(kept_weights, "_SHARE_OF_LIMIT", 1e-9)
    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context, catalog.classes)
    place.write(fit(strategy, parts, context), strategy, parts, context, 1.0)
    assert not place.exists()


def test_frozen_untrained_and_adapted_models_are_not_kept(space, parts, context, catalog):
    probe = {"freezing": "linear-probe", "head": "logistic-regression"}
    frozen = space.strategy("toy", {**probe, "alignment": "none"})
    tent = space.strategy("toy", {"freezing": "lp-ft", "alignment": "tent"})
    strategies = [frozen, tent]
    assert [KeptWeights.of(each, parts, (), context, catalog.classes) for each in strategies] == [
        None,
        None,
    ]


def test_the_average_is_the_mean_of_the_weights_and_frozen_ones_stay(
    space, parts, context, make_part
):
    rates = [{"optimization.adamw.learning_rate": rate} for rate in (1e-4, 3e-4, 1e-3)]
    fits = [fit(trained(space, **rate), parts, context) for rate in rates]
    states = [
        {name: value.clone() for name, value in each.model.state_dict().items()} for each in fits
    ]
    start = starting_backbone(trained(space).backbone, parts, context).state_dict()
    made = averaged(fits)
    moved = 0
    for name, value in made.model.state_dict().items():
        own = [state[name] for state in states]
        if torch.equal(own[0], own[1]) and torch.equal(own[0], own[2]):
            assert torch.equal(value, own[0]), name
        else:
            torch.testing.assert_close(value, sum(own) / 3, rtol=1e-6, atol=1e-7)
            moved += 1
    assert moved > 5
    frozen = [name for name in start if torch.equal(start[name], states[0][f"backbone.{name}"])]
    assert any(name.endswith("weight") for name in frozen)
    held_out = make_part(10, 9)
    by_prefix = made.predict(held_out)
    assert made.prefix is not None
    made.prefix = None
    np.testing.assert_allclose(by_prefix, made.predict(held_out), atol=1e-2)


def test_what_others_trained_is_not_taken_for_frozen(space, parts, context):
    deep, shallow = trained(space), trained(space, **{"freezing.lp-ft.depth": 0.0})
    fits = [fit(strategy, parts, context) for strategy in (deep, shallow)]
    assert fits[0].prefix is not None and fits[1].prefix is None
    assert averaged(fits).prefix is None


def test_weights_leave_the_folder_to_features(tmp_path, monkeypatch):
    folder = CacheFolder(tmp_path)
    monkeypatch.setattr(CacheFolder, "limit", 8000)
    for number in range(5):
        for kind in ("features", "weights"):
            path = tmp_path / f"{kind}-{number}"
            folder.write(path, lambda temporary: temporary.write_bytes(bytes(1000)))
            os.utime(path, (number, number))
    folder.write(tmp_path / "features-last", lambda temporary: temporary.write_bytes(b"1" * 100))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [*(f"features-{n}" for n in range(5)), "features-last", "weights-3", "weights-4"]


def test_other_code_of_any_component_finds_nothing(kept, parts, context, catalog, monkeypatch):
    strategy, place, _ = kept
    assert KeptWeights.of(strategy, parts, (), context, catalog.classes) == place
    one = type("Elsewhere", (), {"__module__": "somewhere_else"})
    more = {**catalog.classes, "head": {**catalog.classes["head"], "new": one}}
    other = KeptWeights.of(strategy, parts, (), context, more)
    monkeypatch.setattr(kept_weights, "tree_key", lambda module: "edited")
    edited = KeptWeights.of(strategy, parts, (), context, catalog.classes)
    assert len({place.digest, other.digest, edited.digest}) == 3


def test_all_files_of_a_package_count(tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "helper.py").write_text("A = 1")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("some_package")
    before = tree_key("some_package.deep.helper")
    (package / "deep" / "helper.py").write_text("A = 2")
    assert tree_key("some_package") == before  # a process goes on with what it has loaded
    _package_tree.cache_clear()
    assert tree_key("some_package.deep.helper") != before
    assert tree_key("no_such_package.helper") == ""


def test_how_the_memory_was_spared_is_kept_too(space, parts, context, catalog):
    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context, catalog.classes)
    fitted = fit(strategy, parts, context)
    fitted.micro_batches = 4
    place.write(fitted, strategy, parts, context, 1.0)
    assert place.read(strategy, parts, context).micro_batches == 4


def test_a_head_that_ends_in_another_shape_is_not_kept(space, parts, context, catalog):
    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context, catalog.classes)
    fitted = fit(strategy, parts, context)
    fitted.model.head = torch.nn.Sequential(fitted.model.head, torch.nn.Linear(2, 2))
    place.write(fitted, strategy, parts, context, 1.0)
    assert not place.exists()


def test_a_disk_that_takes_no_more_costs_nothing(space, parts, context, catalog, monkeypatch):
    def full(*arguments):
        raise SafetensorError("File too large")

    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context, catalog.classes)
    monkeypatch.setattr(kept_weights, "save_file", full)
    place.write(fit(strategy, parts, context), strategy, parts, context, 1.0)
    assert not [*context.cache.directory.glob("*weights*")]
