"""The space: only admissible strategies, no dead end, and every strategy can be enqueued."""

import math
import pickle
from dataclasses import replace

import pytest
from automl_xfer_plugins.heads.stage_fusion import StageFusionHead
from toy_space import (
    CLASSES,
    SCRATCH,
    SMALL,
    Adversary,
    ClosedForm,
    Crop,
    Deep,
    EverySource,
    NoAlignment,
    NoAugmentation,
    NoRegularizer,
    Probe,
    Solved,
    Statistics,
    Steps,
    ToyBackbone,
    draws,
    replayed,
    space,
)

from automl_xfer.components import Strategy
from automl_xfer.components.base import FloatRange, Options
from automl_xfer.errors import ComponentError, ConfigError
from automl_xfer.space.choosing import parameter_key


def test_what_a_component_requires_holds_whenever_it_is_drawn():
    found = {strategy for strategy, _ in draws(space(), 200)}
    for strategy in found:
        if strategy.freezing.name == "probe":
            assert strategy.backbone == SMALL
            assert strategy.optimization.name == "closed-form"
            assert strategy.alignment.name != "adversary"
        else:
            assert strategy.optimization.name == "steps"
        if strategy.alignment.name == "statistics":
            assert strategy.backbone == SMALL
    for axis in ("freezing", "alignment", "augmentation", "optimization"):
        drawn = {strategy.components()[axis].name for strategy in found}
        assert drawn == CLASSES[axis].keys()


def test_without_a_source_no_alignment_is_drawn_and_nothing_is_chosen():
    for strategy, trial in draws(space(facts=frozenset({"target_labels"})), 30):
        assert strategy.alignment == NoAlignment()
        assert not any(key.startswith("alignment") for key in trial.params)


def test_parameters_are_named_by_axis_component_and_field_and_never_mix():
    seen = {}
    for _, trial in draws(space(), 100):
        seen |= trial.distributions
    values = {key.split("~")[0] for key in seen if "." in key}
    assert values == {
        "freezing.deep.depth",
        "alignment.adversary.weight",
        "alignment.adversary.layers",
        "head.solved.norm",
        "augmentation.crop.size",
        "optimization.steps.epochs",
        "optimization.steps.learning_rate",
        "optimization.steps.balance_classes",
    }
    weight = seen["alignment.adversary.weight"]
    assert (weight.low, weight.high, weight.log) == (1e-3, 10.0, True)
    norm = parameter_key("head.solved.norm", Options(("l2", "none")))
    assert seen[norm].choices == ("l2", "none")


def test_a_choice_has_one_name_for_each_set_of_names():
    lists: dict[str, set] = {}
    for _, trial in draws(space(), 200):
        for key, distribution in trial.distributions.items():
            if "~" in key:
                lists.setdefault(key, set()).add(distribution.choices)
    assert all(len(choices) == 1 for choices in lists.values())
    alignments = {next(iter(v)) for k, v in lists.items() if k.startswith("alignment~")}
    assert alignments == {
        ("adversary", "none", "statistics"),  # small, deep
        ("none", "statistics"),  # small, probe
        ("adversary", "none"),  # bare, deep
    }


def test_a_parameter_of_choices_has_one_name_for_each_set_of_values():
    two, three = (Options(values) for values in (("a", "b"), ("a", "b", "c")))
    keys = [parameter_key("alignment.mixture.prior", allowed) for allowed in (two, three, two)]
    assert keys[0] == keys[2] != keys[1]
    assert all(key.startswith("alignment.mixture.prior~") for key in keys)
    number = FloatRange(0.0, 1.0, log=False)
    assert parameter_key("alignment.mixture.share", number) == "alignment.mixture.share"


def test_a_name_that_leads_nowhere_is_never_drawn():
    made = space({"optimization": ("closed-form",)})
    for strategy, _ in draws(made, 30):
        assert strategy.freezing == Probe()
        assert strategy.backbone == SMALL
    unreachable = made.unreachable()
    assert unreachable["backbone"] == {"bare": "leaves nothing to choose on a later axis"}
    assert "needs 'trainable'" in unreachable["augmentation"]["crop"]


def test_nothing_is_unreachable_in_a_free_space():
    assert space().unreachable() == {}


def test_an_empty_axis_says_what_was_asked_and_what_is_missing():
    with pytest.raises(ConfigError) as caught:
        space({"alignment": ("adversary",)}, facts=frozenset({"target_labels"}))
    message = str(caught.value)
    for words in ("no alignment", "asked for adversary", "needs 'source'"):
        assert words in message
    assert "trainable" not in message


def test_choices_that_contradict_each_other_are_named():
    with pytest.raises(ConfigError, match=r"no optimization .*closed-form needs 'frozen'"):
        space({"optimization": ("closed-form",), "freezing": ("deep",)})


def test_no_backbone_at_all_is_an_error():
    with pytest.raises(ConfigError, match="no backbone is left"):
        space(backbones=())


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"alignment": ("adversry",)}, "'adversry'.*'adversary'"),
        ({"aligment": ("none",)}, "'aligment'.*'alignment'"),
        ({"backbone": ("smal",)}, "'smal'.*'small'"),
    ],
)
def test_a_choice_that_does_not_exist_names_the_nearest(choices, words):
    with pytest.raises(ComponentError, match=words):
        space(choices)


def test_backbones_may_be_chosen_by_label_or_class():
    assert {s.backbone for s, _ in draws(space({"backbone": ("bare",)}), 5)} == {SCRATCH}
    assert {s.backbone for s, _ in draws(space({"backbone": ("toy",)}), 20)} == {SMALL, SCRATCH}


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "sqlite"])
def test_enqueued_parameters_reproduce_a_strategy_and_are_all_read(stored, tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}" if stored else None
    strategy = Strategy(
        SMALL,
        Deep(0.25),
        Adversary(weight=0.3, layers=4),
        EverySource(),
        Solved(norm="none"),
        Crop(0.9),
        NoRegularizer(),
        Steps(epochs=17, learning_rate=3e-4, balance_classes=True),
    )
    parameters = space().parameters_of(strategy)
    assert parameters["alignment.adversary.weight"] == 0.3
    assert replayed(space(), parameters, storage) == (strategy, parameters)


def toy_strategy(**components) -> Strategy:
    made = {
        "backbone": SMALL,
        "freezing": Deep(),
        "alignment": NoAlignment(),
        "sources": EverySource(),
        "head": Solved(),
        "augmentation": NoAugmentation(),
        "regularizer": NoRegularizer(),
        "optimization": Steps(),
    }
    return Strategy(**(made | components))


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (toy_strategy(optimization=ClosedForm()), "closed-form.*needs 'frozen'"),
        (toy_strategy(backbone=SCRATCH, alignment=Statistics()), "statistics.*needs 'batch_norm'"),
        (toy_strategy(backbone=SCRATCH, freezing=Probe()), "probe.*excludes 'random'"),
        (toy_strategy(backbone=ToyBackbone("smaller")), "'smaller'.*'small'"),
        (toy_strategy(backbone=ToyBackbone("small", pretrained=False)), "never draws"),
        (toy_strategy(head=Solved(trace=True)), "'solved'.*never draws"),
    ],
)
def test_a_strategy_outside_the_space_is_refused_with_the_reason(strategy, words):
    assert not space().is_admissible(strategy)
    with pytest.raises(ComponentError, match=words):
        space().parameters_of(strategy)


def test_what_an_earlier_version_drew_is_made_but_not_drawn_again():
    kept = Deep.from_dict({"name": "deep", "depth": 2.0})
    assert kept.depth == 2.0
    assert Deep.from_dict(kept.to_dict()) == kept
    assert "depth 2.0 is not drawn any more" in space().why_not(toy_strategy(freezing=kept))
    assert replace(kept) == pickle.loads(pickle.dumps(kept)) == kept
    with pytest.raises(ComponentError, match="depth must be between"):
        Deep(depth=2.0)
    for wrong in ("deep", True, math.nan, math.inf):
        with pytest.raises(ComponentError, match="depth must be"):
            Deep.from_dict({"name": "deep", "depth": wrong})


def test_a_name_that_is_no_choice_any_more_is_refused():
    with pytest.raises(ComponentError, match="combine must be one of"):
        StageFusionHead.from_dict({"name": "stage-fusion", "combine": "averge"})


def test_a_removed_component_is_never_drawn_again():
    made = space().without("alignment", "adversary")
    assert {s.alignment.name for s, _ in draws(made, 60)} == {"none", "statistics"}
    assert "adversary" in made.why_not(toy_strategy(alignment=Adversary()))
    made = made.without_backbone("small")
    assert {s.backbone for s, _ in draws(made, 10)} == {SCRATCH}
    with pytest.raises(ConfigError, match="no backbone is left"):
        made.without_backbone("bare")
    with pytest.raises(ComponentError, match=r"'adversry'.*'adversary'"):
        made.without("alignment", "adversry")


def test_removing_a_component_that_was_asked_for_leaves_the_others():
    made = space({"alignment": ("adversary", "none")}).without("alignment", "adversary")
    assert {s.alignment.name for s, _ in draws(made, 20)} == {"none"}


def test_the_simplest_strategy_completes_what_is_asked():
    assert space().strategy() == toy_strategy(freezing=Probe(), optimization=ClosedForm())
    assert space().strategy("bare") == toy_strategy(backbone=SCRATCH)
    # asking for a later axis changes what is simplest on an earlier one
    assert space().strategy(names={"optimization": "steps"}) == toy_strategy()
    made = space().strategy("small", {"alignment": "adversary"}, {"optimization.steps.epochs": 30})
    assert made == toy_strategy(alignment=Adversary(), optimization=Steps(epochs=30))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"names": {"alignment": "dann"}}, ComponentError, "'dann'"),
        ({"names": {"aligment": "none"}}, ComponentError, "'alignment'"),
        ({"backbone": "smaller"}, ComponentError, "'small'"),
        ({"backbone": "bare", "names": {"freezing": "probe"}}, ConfigError, "excludes 'random'"),
        ({"parameters": {"optimization.steps.epoch": 3}}, ComponentError, "steps.epoch"),
        (
            {"names": {"freezing": "deep"}, "parameters": {"freezing.deep.depth": 1.5}},
            ComponentError,
            "between 0.0 and 1.0",
        ),
    ],
)
def test_a_strategy_that_cannot_be_made_says_why(arguments, error, words):
    with pytest.raises(error, match=words):
        space().strategy(**arguments)


def test_a_component_that_the_study_does_without_is_not_slipped_in():
    made = space({"alignment": ("none", "statistics")})
    with pytest.raises(ConfigError, match=r"without the alignment 'adversary'"):
        made.strategy(names={"alignment": "adversary"})
    free = replace(made, choices={})
    assert free.strategy(names={"alignment": "adversary"}).alignment == Adversary()
