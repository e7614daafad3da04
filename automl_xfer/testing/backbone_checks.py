"""Checks of backbones. They build the bare architecture: no weights are downloaded."""

import copy

import torch
from torch import nn

from automl_xfer.components import Backbone, StagedModel
from automl_xfer.testing.check import Check, expect
from automl_xfer.testing.expectations import expect_shape
from automl_xfer.testing.toy_domains import toy_images

_STARTS = {"pretrained": "pretrained", "random": "random", "source": "source_pretrained"}


def check_facts_tell_how_it_starts(backbone: Backbone) -> None:
    facts = backbone.facts()
    expect(isinstance(facts, frozenset), f"facts() gave {type(facts).__name__}, no frozenset")
    fact = _STARTS[backbone.initialisation]
    expect(fact in facts, f"facts() lacks {fact!r}, which initialisation says")


def check_facts_describe_the_model(backbone: Backbone) -> None:
    model, facts = backbone.build(pretrained=False), backbone.facts()
    normed = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    expect(normed == ("batch_norm" in facts), f"batch_norm is {normed}, facts() say otherwise")
    several = len(model.stages) > 1
    expect(several == ("stages" in facts), f"stages is {several}, facts() say otherwise")


def check_features_have_the_width_that_the_model_says(backbone: Backbone) -> None:
    model, pixels = _ready(backbone)
    expect_shape(model(pixels), (len(pixels), model.feature_dim), "the features")


def check_stages_one_by_one_are_the_whole(backbone: Backbone) -> None:
    model, pixels = _ready(backbone)
    inside = {*model.stages.state_dict(prefix="stages."), *model.pool.state_dict(prefix="pool.")}
    outside = set(model.state_dict()) - inside - {"mean", "std"}
    alone = len(model.stages) == 1 or not outside  # or a reading of several stages loses them
    expect(alone, f"{', '.join(sorted(outside))}: keep all tensors in the stages or the pool")
    for cut in range(1, len(model.stages) + 1):
        same = torch.allclose(model(model(pixels, 0, cut), cut), model(pixels), atol=1e-4)
        expect(same, f"cut after stage {cut} the features differ; let stages hold all that runs")


def check_model_survives_a_copy(backbone: Backbone) -> None:
    model, pixels = _ready(backbone)
    same = torch.allclose(copy.deepcopy(model)(pixels), model(pixels), atol=1e-5)
    expect(same, "a deep copy gives other features")


def _ready(backbone: Backbone) -> tuple[StagedModel, torch.Tensor]:
    """The bare model in evaluation mode, and six normalised images."""
    model = backbone.build(pretrained=False).eval().requires_grad_(False)
    return model, model.normalise(toy_images(6, 3).source)


CHECKS = (
    Check(check_facts_tell_how_it_starts),
    Check(check_facts_describe_the_model),
    Check(check_features_have_the_width_that_the_model_says),
    Check(check_stages_one_by_one_are_the_whole),
    Check(check_model_survives_a_copy),
)
