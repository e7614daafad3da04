"""Where the marks of the charts go."""

from datetime import timedelta

import pytest
from fake_study import BEGIN, make_trial

from automl_xfer.report.charts import score_chart, timeline
from automl_xfer.report.wording import ScoreWording
from automl_xfer.study.records import FailureKind, Role, TrialState

PERCENT = ScoreWording(percent=True)
WINNER = {
    "kind": "single",
    "trials": [1],
    "description": "w",
    "score": 0.7,
    "interval": [0.6, 0.8],
    "seed_scores": [0.7],
}


def baseline(score: float, gain_interval: list[float] | None) -> dict:
    gain = 0.7 - score
    return {"name": "linear-probe", "trial": 2, "score": score, "failure": None} | {
        "gain": gain,
        "gain_interval": gain_interval,
    }


def test_a_baseline_whisker_reaches_the_winner_only_when_the_two_cannot_be_told_apart() -> None:
    chart = score_chart(WINNER, [baseline(0.5, [0.1, 0.3]), baseline(0.68, [-0.02, 0.05])], PERCENT)
    winner, clear, unclear = chart.rows
    assert winner.x == chart.reference
    assert clear.whisker is not None and clear.whisker[1] < chart.reference
    assert unclear.whisker is not None
    assert unclear.whisker[0] < chart.reference < unclear.whisker[1]


def test_positions_are_in_proportion_to_the_ticks() -> None:
    chart = score_chart(WINNER, [baseline(0.5, None)], PERCENT)
    assert chart.ticks[0][1] == "50\u00a0%"
    low, high = chart.ticks[0], chart.ticks[-1]
    span = float(high[1].removesuffix("\u00a0%")) - float(low[1].removesuffix("\u00a0%"))
    assert chart.rows[0].x == pytest.approx(100 * 20 / span, abs=0.02)


def test_best_so_far_only_climbs_and_repeats_do_not_lift_it() -> None:
    scores = [0.5, 0.4, 0.6]
    trials = [make_trial(i, score=score) for i, score in enumerate(scores, 1)]
    repeat = make_trial(4, score=0.7, role=Role.FINALIST, repeats=3)
    shown = timeline([*trials, repeat], PERCENT)
    assert shown is not None
    heights = [y for _, _, y in shown.runs]
    assert len(heights) == 2 and heights[1] < heights[0]  # y runs downwards
    assert shown.runs[-1][1] == 100.0


def test_idle_time_between_two_sittings_is_left_out() -> None:
    next_day = BEGIN + timedelta(days=1)
    late = make_trial(2, started=next_day, finished=next_day + timedelta(minutes=1))
    first = make_trial(1, started=BEGIN, finished=BEGIN + timedelta(minutes=1))
    shown = timeline([first, late], PERCENT)
    assert shown is not None
    assert [marker.x for marker in shown.markers] == [50.0, 100.0]
    assert shown.x_label == "minutes of work"


def test_trials_without_times_are_shown_in_order() -> None:
    shown = timeline([make_trial(1), make_trial(2, started=None, finished=None)], PERCENT)
    assert shown is not None and shown.x_label == "trials"


def test_kinds_pruned_failed_and_far_below() -> None:
    good = [make_trial(i, score=0.7 + i / 1000) for i in range(12)]
    scratch = make_trial(20, score=0.1, role=Role.BASELINE)
    pruned = make_trial(21, score=None, state=TrialState.PRUNED, steps=(0.703,))
    failed = make_trial(
        22, score=None, state=TrialState.FAILED, failure_kind=FailureKind.NAN, steps=()
    )
    shown = timeline([*good, scratch, pruned, failed], PERCENT)
    assert shown is not None
    marks = {marker.kind: marker for marker in shown.markers}
    assert shown.kinds == ("baseline", "search", "pruned", "failed")
    assert shown.n_below == 1 and marks["baseline"].y == 100
    assert marks["failed"].y == 100 and "nan" in marks["failed"].label
    assert 0 < marks["pruned"].y < 100


def test_nothing_to_draw_without_a_score() -> None:
    assert timeline([make_trial(1, score=None, state=TrialState.FAILED)], PERCENT) is None
