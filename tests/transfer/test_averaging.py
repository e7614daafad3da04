"""WiSE-FT: the finished weights are the mean of those before and after training, exactly."""

import pytest
import torch

from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.pretrain import starting_backbone

FAST = {"optimization.adamw.epochs": 5, "optimization.adamw.learning_rate": 3e-4}
DEPTH = 0.5


def strategy(space, freezing, **own):
    names = {"freezing": freezing, "alignment": "none", "head": "logistic-regression"}
    names["optimization"] = "adamw"
    own = {f"freezing.{freezing}.{key}": value for key, value in own.items()}
    return space.strategy("toy", names, {**FAST, **own})


@pytest.fixture
def trained(space, parts, context):
    """The model that plain LP-FT ends with."""
    return fit(strategy(space, "lp-ft", depth=DEPTH), parts, context).model


@pytest.fixture
def averaged(space, parts, context):
    """share -> the model that WiSE-FT ends with."""

    def run(share):
        wise = strategy(space, "wise-ft", depth=DEPTH, start_share=share)
        return fit(wise, parts, context).model

    return run


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_the_backbone_is_the_mean_of_its_start_and_of_what_lp_ft_makes(
    space, parts, context, trained, averaged, share
):
    made = dict(averaged(share).backbone.named_parameters())
    candidate = strategy(space, "lp-ft").backbone
    start = dict(starting_backbone(candidate, parts, context).named_parameters())
    moved = 0
    for name, end in trained.backbone.named_parameters():
        if torch.equal(end, start[name]):  # frozen
            assert torch.equal(made[name], end)
        else:
            expected = (1 - share) * end + share * start[name]
            torch.testing.assert_close(made[name], expected, rtol=1e-5, atol=1e-6)
            moved += 1
    assert moved > 5


def test_the_head_is_averaged_too(trained, averaged):
    heads = [
        dict(model.head.named_parameters()) for model in (trained, averaged(0.2), averaged(0.8))
    ]
    for name, end in heads[0].items():
        little, much = heads[1][name] - end, heads[2][name] - end
        assert little.abs().max() > 0
        torch.testing.assert_close(4 * little, much, rtol=1e-3, atol=1e-5)


def test_an_epoch_is_shown_as_training_would_end_and_goes_on_as_if_not(
    space, parts, context, averaged
):
    seen = []

    def on_epoch(epoch, model):
        seen.append({name: each.clone() for name, each in model.named_parameters()})

    wise = strategy(space, "wise-ft", depth=DEPTH, start_share=0.7)
    watched = dict(fit(wise, parts, context, on_epoch).model.named_parameters())
    for name, end in averaged(0.7).named_parameters():
        assert torch.equal(watched[name], end)
        torch.testing.assert_close(seen[-1][name], end)
