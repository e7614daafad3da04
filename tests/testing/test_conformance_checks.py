"""The checks find what they are for: one broken component for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from automl_xfer.components import (
    AlignedFeatures,
    AlignmentMethod,
    AugmentationPolicy,
    Backbone,
    Choice,
    Component,
    Float,
    FreezingPolicy,
    Head,
    Optimization,
    Regularizer,
    SourceSelection,
    StagedModel,
    TransferabilityEstimator,
    Validator,
)
from automl_xfer.errors import ConformanceError
from automl_xfer.testing import check_component, checks_for, parametrize_with_checks
from automl_xfer.testing.conformance import AXIS_CHECKS


class Loss(nn.Module):
    """Any function of (source, target, progress) as a loss."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, source, target, progress):
        return self.function(source, target, progress)


def made(base: type[Component], *, doc: str = "Made for a test.", **members) -> type[Component]:
    """A component class of this module with the given methods and class variables."""
    body = {"name": "made", "__module__": __name__, "__doc__": doc, **members}
    built = dataclass(frozen=True)(type("Made", (base,), body))
    globals()["Made"] = built  # pickle looks a class up by its name
    return built


def loss(function) -> type[Component]:
    return made(AlignmentMethod, build=lambda self, feature_dim, num_classes: Loss(function))


def in_place(source, target, progress):
    with torch.no_grad():
        target.logits.mul_(2)
    return source.features.mean()


def head(build=None, **members) -> type[Component]:
    return made(Head, build=build or (lambda self, d, k: nn.Linear(d, k)), **members)


def fit(module) -> type[Component]:
    """A head whose fit returns `module(num_classes)`."""
    return head(fit=lambda self, x, y, k, sample_weight=None, groups=None: module(k))


def linear(k: int, score: float = 0.0) -> nn.Linear:
    layer = nn.Linear(16, k)
    nn.init.constant_(layer.bias, score)
    nn.init.zeros_(layer.weight)
    return layer


def policy(is_trainable, **members) -> type[Component]:
    return made(FreezingPolicy, is_trainable=is_trainable, **members)


def optimization(**members) -> type[Component]:
    def build(self, groups):
        return torch.optim.SGD([p for g in groups for p in g.parameters], lr=self.learning_rate)

    members = {"build": build, "__annotations__": {"epochs": int, "learning_rate": float}} | members
    return made(Optimization, epochs=Choice(3, (3,)), learning_rate=Float(0.1, 0.1, 1.0), **members)


def staged(pool: nn.Module) -> StagedModel:
    return StagedModel([nn.Conv2d(3, 4, 3)], pool, 4, mean=[0.5] * 3, std=[0.5] * 3)


def with_a_tensor_outside_its_stages() -> StagedModel:
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages = [nn.Conv2d(3, 4, 3), nn.ReLU()]
    model = StagedModel(stages, pool, 4, mean=[0.5] * 3, std=[0.5] * 3)
    model.register_buffer("scale", torch.ones(1))
    return model


def backbone(model=None, facts=frozenset({"random"}), **members) -> type[Component]:
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return made(
        Backbone,
        **members,
        initialisation="random",
        candidates=classmethod(lambda cls, request: [cls()]),
        build=lambda self, *, pretrained=True: model or staged(pool),
        facts=lambda self: facts,
    )


def unwrap_nothing(self, model):
    model.extra = nn.Linear(2, 2)


def careless_post_init(self):
    pass


BROKEN = {
    "facts are frozensets of words": lambda: loss(None) and made(Validator, requires={"source"}),
    "docstring begins with a summary": lambda: head(doc=None),
    "complexity is a count": lambda: head(complexity=-1),
    "class is one that the catalog takes": lambda: head(name="Not Kebab"),
    "methods take the arguments of their axis": lambda: head(lambda self, feature_dim: None),
    "label is text": lambda: head(label=property(lambda self: "")),
    "values outside a range are refused": lambda: head(
        size=Float(1.0, 0.0, 2.0),
        __annotations__={"size": float},
        __post_init__=careless_post_init,
    ),
    "survives json": lambda: head(
        size=Choice((1, 2), ((1, 2), (3, 4))), __annotations__={"size": tuple}
    ),
    "survives pickle and copy": lambda: head(__reduce__=lambda self: (object, ())),
    "it trains on a domain that exists": lambda: made(
        AlignmentMethod, trains_on=frozenset({"sauce"})
    ),
    "loss is a finite scalar for unequal batches": lambda: loss(
        lambda s, t, p: (s.features[: len(t.features)] - t.features[: len(s.features)]).sum(1)
    ),
    "loss is differentiable": lambda: loss(lambda s, t, p: s.features.detach().mean()),
    "loss does not change its inputs": lambda: loss(in_place),
    "loss is the same for the same seed": lambda: loss(
        lambda s, t, p: s.features.mean() * np.random.default_rng().random()
    ),
    "task weights are shares": lambda: made(
        AlignmentMethod, task_weights=lambda self, progress: (0.0, 0.0)
    ),
    "transformed source keeps shape and type": lambda: made(
        AlignmentMethod, transform_source=lambda self, images, target_images: images.float()
    ),
    "maps have matching widths": lambda: made(
        AlignmentMethod,
        align=lambda self, source, labels, target: AlignedFeatures(nn.Linear(16, 8)),
    ),
    "sample weights have mean one": lambda: made(
        AlignmentMethod, sample_weights=lambda self, source, labels, target: 2.0 * labels
    ),
    "refined head gives finite logits": lambda: made(
        AlignmentMethod, target_head=lambda self, d, k, head: linear(k, float("nan"))
    ),
    "finished backbone keeps its shapes": lambda: made(
        AlignmentMethod, finish=lambda self, model, batches: setattr(model, "more", linear(2))
    ),
    "adapted model keeps its shapes": lambda: made(
        AlignmentMethod, adapt=lambda self, model, batches: model.head.weight.fill_(float("nan"))
    ),
    "stages read is a count": lambda: head(stages_read=property(lambda self: 0)),
    "built module gives logits": lambda: head(lambda self, d, k: nn.Linear(d, k + 1)),
    "fitted module gives logits": lambda: fit(lambda k: linear(k + 1)),
    "fitted module is the same for the same seed": lambda: fit(
        lambda k: linear(k, float(np.random.default_rng().random()))
    ),
    "fitted state loads into the built module": lambda: fit(lambda k: nn.Sequential(linear(k))),
    "class without a sample gets the lowest score": lambda: fit(
        lambda k: nn.Sequential(linear(k), nn.Softmax(0)) if k < 4 else BestLast()
    ),
    "every parameter is trainable or not in every epoch": lambda: policy(
        lambda self, parameter, epoch: parameter.stage / 3
    ),
    "policy trains what it provides": lambda: policy(
        lambda self, parameter, epoch: True, provides=frozenset({"frozen"})
    ),
    "the share of the start is one of useful weights": lambda: policy(
        lambda self, parameter, epoch: True, share_of_start=lambda self: 0.5
    ),
    "unwrap undoes wrap": lambda: policy(lambda self, p, e: True, wrap=unwrap_nothing),
    "transformed images keep shape and type": lambda: made(
        AugmentationPolicy, transform=lambda self, size: lambda images: images[:, :, :size, :20]
    ),
    "training sizes are no larger than the images": lambda: made(
        AugmentationPolicy, training_size=lambda self, size, progress: size // 2
    ),
    "mixed labels sum to one": lambda: made(
        AugmentationPolicy, mix=lambda self, images, labels, generator: (images, 2 * labels)
    ),
    "activations keep their shape": lambda: made(
        AugmentationPolicy, between_stages=lambda self, a, stage, n_stages: a[:, :1]
    ),
    "perturbed images keep their shape": lambda: made(
        AugmentationPolicy, perturb=lambda self, images, loss: loss(images)
    ),
    "term is a finite scalar": lambda: made(
        Regularizer, build=lambda self, b, h, labelled: lambda batch: batch.logits.mean(1)
    ),
    "gradient flows from the term": lambda: made(
        Regularizer, build=lambda self, b, h, labelled: lambda batch: batch.logits.detach().mean()
    ),
    "optimizer steps with the rates of its groups": optimization,
    "length of training is positive": lambda: made(
        Optimization, build=lambda self, groups: torch.optim.SGD(groups[0].parameters)
    ),
    "schedule stays between 0 and 1": lambda: optimization(schedule=lambda self, p: 1 + p),
    "score is finite or nan": lambda: made(Validator, score=lambda self, p: float("-inf")),
    "score does not change its input": lambda: made(
        Validator, score=lambda self, p: float(p.target.sort(axis=1) or 0)
    ),
    "score is the same each time": lambda: made(
        Validator, score=lambda self, p: float(np.random.default_rng().random())
    ),
    "estimate is finite": lambda: made(
        TransferabilityEstimator,
        requires=frozenset({"target_labels"}),
        estimate=lambda self, features, labels, target: float(target.mean()),
    ),
    "separated classes score higher than shuffled labels": lambda: made(
        TransferabilityEstimator, estimate=lambda self, features, labels, target: 1.0
    ),
    "weights are one for each source": lambda: made(
        SourceSelection, weights=lambda self, sources, k: [1.0, 1.0]
    ),
    "weights are the same each time": lambda: made(
        SourceSelection,
        weights=lambda self, sources, k: np.random.default_rng().random(len(sources)),
    ),
    "facts tell how it starts": lambda: backbone(facts=frozenset()),
    "facts describe the model": lambda: backbone(facts=frozenset({"random", "batch_norm"})),
    "features have the width that the model says": lambda: backbone(staged(nn.Flatten())),
    "stages one by one are the whole": lambda: backbone(with_a_tensor_outside_its_stages()),
}
"""Rule -> what makes a component that breaks it."""

NOT_BROKEN_ALONE = {
    "both ends of every range can be used",  # below
    "one sample of a class is enough",
    "model survives a copy",
}


class BestLast(nn.Module):
    """Likes the absent class best."""

    def forward(self, features):
        return torch.arange(4.0).repeat(len(features), 1)


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_a_broken_component_fails_the_rule_that_it_breaks(rule: str) -> None:
    component = BROKEN[rule]()
    (check,) = [check for check in checks_for(component) if check.name == rule]
    with pytest.raises(ConformanceError, match=re.escape(f"fails '{rule}': ")) as caught:
        check(component)
    assert component.axis in str(caught.value)
    with pytest.raises(ConformanceError, match=re.escape(rule)):
        check_component(component)


def test_every_rule_has_a_component_that_breaks_it() -> None:
    from automl_xfer.testing.component_checks import CHECKS

    rules = {check.name for checks in (CHECKS, *AXIS_CHECKS.values()) for check in checks}
    assert set(BROKEN) | NOT_BROKEN_ALONE == rules


def test_a_range_whose_end_cannot_be_used_is_found() -> None:
    def refuse_zero(self) -> None:
        if self.size == 0:
            raise ValueError("size must not be 0")

    component = head(
        size=Float(1.0, 0.0, 2.0), __annotations__={"size": float}, __post_init__=refuse_zero
    )
    with pytest.raises(ConformanceError, match=r"both ends.*ValueError: size must not be 0"):
        check_component(component)


def test_several_faults_are_listed_together() -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(head(lambda self, d, k: nn.Linear(d, k + 1), complexity=-1))
    assert [line.split("'")[3] for line in str(caught.value).splitlines()] == [
        "complexity is a count",
        "built module gives logits",
    ]


def test_a_check_leaves_the_random_numbers_of_its_caller_alone() -> None:
    component = loss(lambda s, t, p: s.features.mean() * torch.rand(()) * np.random.random())
    torch.manual_seed(3)
    np.random.seed(3)
    check_component(component)
    drawn = torch.rand(4), np.random.random(4)
    torch.manual_seed(3)
    np.random.seed(3)
    assert torch.equal(drawn[0], torch.rand(4))
    assert np.array_equal(drawn[1], np.random.random(4))


def test_only_overridden_hooks_are_checked() -> None:
    names = {check.name for check in checks_for(made(AlignmentMethod))}
    assert "loss is differentiable" not in names
    assert "task weights are shares" in names


def test_the_decorator_names_component_and_rule() -> None:
    components: Sequence[object] = [loss(lambda s, t, p: s.features.mean())]
    mark = parametrize_with_checks(components).mark
    ids = [parameter.id for parameter in mark.args[1]]
    assert "alignment/made-loss_is_differentiable" in ids
    assert len(ids) == len(checks_for(components[0]))


def test_a_class_without_defaults_is_checked_by_an_instance() -> None:
    needy = backbone(__annotations__={"model": str})
    assert "stages one by one are the whole" not in {check.name for check in checks_for(needy)}
    assert "stages one by one are the whole" in {check.name for check in checks_for(needy("x"))}
    check_component(needy)
    check_component(needy("x"))
