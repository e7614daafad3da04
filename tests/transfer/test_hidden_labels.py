"""Target labels that a fit may not see are never read, by any component or validator."""

import json
from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.components import AXES, BackboneRequest, Strategy
from automl_xfer.data.image_set import ImageSet
from automl_xfer.evaluation.unlabelled import Candidate, mean_ranks, seen_of
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.search.plan import fold_parts, make_plan
from automl_xfer.search.unlabelled_outputs import mixed_predictions, pseudo_target
from automl_xfer.space.compose import Space
from automl_xfer.transfer.parts import Part, StudyData

CATALOG = PluginSource().load()[1]
COMPONENTS = [(axis, name) for axis in AXES if axis != "backbone" for name in CATALOG.classes[axis]]
ANYWHERE = {"source", "two_sources", "few_classes", "unlabelled"}
POISON = 10**9
"""As a class number it breaks every use: indexing, one-hot vectors, counting."""


class Trap:
    """In place of labels: whatever is done with it raises."""

    def __getattr__(self, name):
        raise AssertionError(f"a hidden target label was read ({name})")

    def _read(self, *_):
        raise AssertionError("a hidden target label was read")

    __getitem__ = __iter__ = __len__ = __array__ = __eq__ = __bool__ = __index__ = _read


@pytest.fixture
def data(make_part):
    """Two sources, and unlabelled target images whose labels are a trap."""
    source, target = make_part(16, 2, 80).image_set, make_part(16, 3).image_set
    return StudyData(
        classes=("left", "top"),
        image_size=24,
        unlabelled=ImageSet(target.path, target.key, Trap()),
        source=source,
        source_names=("one", "two"),
        source_domains=np.repeat([0, 1], 8),
    )


def strategy_with(axis: str, name: str, facts: set[str], weights_dir) -> Strategy:
    """The simplest strategy with this component that these facts admit; skips where none does."""
    backbones = CATALOG.backbones(BackboneRequest(weights_dir=weights_dir))
    made = Space(CATALOG.classes, backbones, frozenset(facts))
    why = made.unreachable().get(axis, {}).get(name)
    if why:
        pytest.skip(f"{name} {why}")
    strategy = made.strategy(names={axis: name})
    few = {"epochs": 5, "batch_size": 16} if strategy.optimization.epochs else {}
    strategy = replace(strategy, optimization=replace(strategy.optimization, **few))
    if strategy.regularizer.distils:
        teachers = json.dumps([made.strategy(names={"freezing": "linear-probe"}).to_dict()])
        strategy = replace(strategy, regularizer=replace(strategy.regularizer, teacher=teachers))
    return strategy


def test_the_trap_works(data):
    with pytest.raises(AssertionError, match="hidden target label"):
        Part.whole(data.unlabelled).take(np.arange(3))


@pytest.mark.parametrize(("axis", "name"), COMPONENTS, ids=lambda each: each)
def test_without_target_labels_none_is_read(axis, name, data, context, weights_dir):
    strategy = strategy_with(axis, name, {*ANYWHERE, "no_target_labels"}, weights_dir)
    ((parts, held_out),) = fold_parts(data, make_plan(data, "accuracy", 0))
    fitted = fit_strategy(strategy, parts, data.source_names, context, CATALOG.classes).fitted
    (target,) = parts.unlabelled
    pseudo = None
    if axis == "sources" or strategy.frozen:  # a second training shows nothing new of the others
        pseudo = pseudo_target(strategy, parts, data.source_names, context, CATALOG.classes)
    candidate = Candidate(
        fitted.predict(target),
        fitted.predict(held_out, from_source=True),
        held_out.labels,
        mixed=mixed_predictions(fitted, target),
        pseudo_target=pseudo,
    )
    validators = [made() for made in CATALOG.classes["validator"].values()]
    seen = seen_of(candidate, candidate.target)
    assert all(isinstance(validator.score(seen), float) for validator in validators)
    assert np.isfinite(mean_ranks([candidate], validators, candidate)).all()


@pytest.mark.parametrize(("axis", "name"), COMPONENTS, ids=lambda each: each)
def test_labels_of_a_held_out_fold_are_not_read(axis, name, data, make_part, context, weights_dir):
    strategy = strategy_with(axis, name, {*ANYWHERE, "target_labels"}, weights_dir)
    labelled = make_part(16, 4).image_set
    fold = (np.arange(4, 16), np.arange(4))
    poisoned = np.where(np.isin(np.arange(16), fold[1]), POISON, labelled.labels)
    data = replace(data, target=replace(labelled, labels=poisoned))
    plan = replace(make_plan(data, "accuracy", 0, fold[1]), folds=(fold,))
    ((parts, held_out),) = fold_parts(data, plan)
    fitted = fit_strategy(strategy, parts, data.source_names, context, CATALOG.classes).fitted
    probabilities = fitted.predict(held_out)
    assert np.isfinite(probabilities).all()
