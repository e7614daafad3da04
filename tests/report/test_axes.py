"""Which axis mattered."""

import pytest
from fake_study import make_trial

from automl_xfer.report.axes import axis_effects


def trials(scores: list[float], freezing: list[str], backbone: list[str]) -> list:
    rows = enumerate(zip(scores, freezing, backbone, strict=True))
    return [
        make_trial(
            index,
            score=score,
            strategy={"backbone": {"name": "timm"}, "freezing": {"name": freeze}},
            description=f"{back} · {freeze}",
        )
        for index, (score, freeze, back) in rows
    ]


def test_too_few_trials_say_nothing() -> None:
    assert axis_effects(trials([0.1] * 7, ["full"] * 7, ["a"] * 7)) == []


def test_share_is_epsilon_squared_of_the_ranks() -> None:
    """Ranks 1..4 and 5..8: SSB 32, SSW 10, SST 42, MSW 10/6, so (32 - 10/6) / 42."""
    made = trials([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], ["full"] * 4 + ["lp-ft"] * 4, ["a"] * 8)
    (effect,) = axis_effects(made)  # the backbone did not vary
    assert effect.axis == "freezing"
    assert effect.share == pytest.approx((32 - 10 / 6) / 42)
    assert [choice.name for choice in effect.choices] == ["lp-ft", "full"]
    assert effect.choices[0].mean == pytest.approx(0.65)
    assert effect.choices[0].best == 0.8


def test_an_axis_without_effect_gets_nothing_and_backbones_are_told_apart_by_label() -> None:
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    made = trials(scores, ["full"] * 4 + ["lp-ft"] * 4, ["a", "b", "b", "a"] * 2)
    freezing, backbone = axis_effects(made)
    assert (freezing.axis, backbone.axis, backbone.share) == ("freezing", "backbone", 0.0)
    assert {choice.name for choice in backbone.choices} == {"a", "b"}


def test_equal_scores_explain_nothing() -> None:
    (effect,) = axis_effects(trials([0.5] * 8, ["full", "lp-ft"] * 4, ["a"] * 8))
    assert effect.share == 0.0
