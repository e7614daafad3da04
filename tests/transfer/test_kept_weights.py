"""Trained weights: read again exactly as they were, for the same work only."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from automl_xfer.transfer import kept_weights
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.kept_weights import KeptWeights, averaged
from automl_xfer.transfer.pretrain import starting_backbone

DEPTH = 0.5


def trained(space, freezing="lp-ft", **own):
    names = {"freezing": freezing, "alignment": "none", "head": "logistic-regression"}
    names["optimization"] = "adamw"
    own = {f"freezing.{freezing}.depth": DEPTH, **own}
    return space.strategy("toy", names, {"optimization.adamw.epochs": 5, **own})


@pytest.fixture
def kept(space, parts, context):
    """A fit whose weights were kept, and where."""
    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context)
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


def test_other_work_finds_nothing(kept, space, parts, context, make_part):
    strategy, place, _ = kept
    flipped = replace(parts.target, labels=1 - parts.target.labels)
    others = [
        (strategy, replace(parts, target=flipped), (), context),
        (strategy, replace(parts, target=parts.target.take(np.arange(8))), (), context),
        (strategy, replace(parts, target=make_part(16, 5)), (), context),
        (strategy, replace(parts, source=None), (), context),
        (strategy, parts, ("one", "two"), context),
        (strategy, parts, (), replace(context, seed=1)),
        (trained(space, **{"optimization.adamw.learning_rate": 1e-4}), parts, (), context),
    ]
    places = [KeptWeights.of(*other) for other in others]
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


def test_a_large_model_is_not_kept(space, parts, context, monkeypatch):
    monkeypatch.setattr(kept_weights, "_SHARE_OF_LIMIT", 1e-9)
    strategy = trained(space)
    place = KeptWeights.of(strategy, parts, (), context)
    place.write(fit(strategy, parts, context), strategy, parts, context, 1.0)
    assert not place.exists()


def test_frozen_untrained_and_adapted_models_are_not_kept(space, parts, context):
    probe = {"freezing": "linear-probe", "head": "logistic-regression"}
    frozen = space.strategy("toy", {**probe, "alignment": "none"})
    tent = space.strategy("toy", {"freezing": "lp-ft", "alignment": "tent"})
    strategies = [frozen, tent]
    assert [KeptWeights.of(each, parts, (), context) for each in strategies] == [None, None]


def test_the_average_is_the_mean_of_the_weights_and_frozen_ones_stay(space, parts, context):
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
    assert made.prefix is None
