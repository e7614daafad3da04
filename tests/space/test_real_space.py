"""The space over the real catalog."""

import json
from random import Random

import pytest
from automl_xfer_plugins.portfolio import PORTFOLIO
from toy_space import draws, replayed

from automl_xfer.components import (
    AXES,
    BackboneRequest,
    Strategy,
)
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.space.compose import Space

REAL_FACTS = [
    frozenset({"target_labels"}),
    frozenset({"target_labels", "source", "unlabelled"}),
    frozenset({"no_target_labels", "source", "two_sources", "unlabelled"}),
]


@pytest.mark.parametrize("facts", REAL_FACTS, ids=lambda facts: "+".join(sorted(facts)))
def test_random_draws_over_the_real_catalog(facts):
    loaded = make_manager()
    catalog = build_catalog(loaded)
    assert loaded.problems == []
    backbones = catalog.backbones(BackboneRequest(has_source="source" in facts))
    made = Space(catalog.classes, backbones, facts)
    for strategy, trial in draws(made, 100, seed=len(facts)):
        assert made.why_not(strategy) is None
        data = json.loads(strategy.to_json())
        assert Strategy.from_dict(data, catalog.classes) == strategy
        assert made.parameters_of(strategy) == trial.params
        assert replayed(made, trial.params) == (strategy, trial.params)


@pytest.mark.parametrize("facts", REAL_FACTS, ids=lambda facts: "+".join(sorted(facts)))
def test_a_neighbour_is_in_the_space_and_shares_most_answers(facts):
    catalog = build_catalog(make_manager())
    backbones = catalog.backbones(BackboneRequest(has_source="source" in facts))
    made = Space(catalog.classes, backbones, facts)
    random, shared, found = Random(0), [], set()
    for strategy, _ in draws(made, 60, seed=len(facts)):
        for _ in range(3):
            near = made.neighbour(strategy, random)
            assert made.why_not(near) is None
            before, after = strategy.components(), near.components()
            shared.append(sum(before[axis].name == after[axis].name for axis in AXES) / len(AXES))
            found.add(near == strategy)
    assert 0.7 < sum(shared) / len(shared) < 1.0
    assert found == {True, False}


@pytest.mark.parametrize("facts", REAL_FACTS, ids=lambda facts: "+".join(sorted(facts)))
def test_every_real_component_that_the_data_admits_has_a_simplest_strategy(facts):
    catalog = build_catalog(make_manager())
    backbones = catalog.backbones(BackboneRequest(has_source="source" in facts))
    made = Space(catalog.classes, backbones, facts)
    unreachable = made.unreachable()
    for axis in AXES[1:]:
        for name in catalog.classes[axis].keys() - unreachable.get(axis, {}).keys():
            strategy = made.strategy(names={axis: name})
            assert strategy.components()[axis].name == name
            assert made.is_admissible(strategy)


def test_the_portfolio_fine_tunes_with_whatever_regularizer_is_allowed():
    catalog = build_catalog(make_manager())
    backbones = catalog.backbones(BackboneRequest())
    choices = {"regularizer": ("l2-sp",)}
    made = Space(catalog.classes, backbones, frozenset({"target_labels"}), choices)
    sketches = [each.components for each in PORTFOLIO if not each.requires]
    trained = [each for each in sketches if each["freezing"]["name"] == "wise-ft"]
    open_ = [each for each in trained if "regularizer" not in each]
    assert len(trained) > len(open_) > 0
    for sketch in open_:
        names = {axis: data["name"] for axis, data in sketch.items()}
        assert made.strategy(names=names).regularizer.name == "l2-sp"
