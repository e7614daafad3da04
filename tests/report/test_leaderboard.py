"""The order of trials."""

import math

from fake_study import make_trial

from automl_xfer.report.leaderboard import leaders, rank
from automl_xfer.study.records import TrialState


def test_complete_trials_come_first_by_score() -> None:
    failed = make_trial(1, score=0.99, state=TrialState.FAILED)
    pruned = make_trial(2, score=None, state=TrialState.PRUNED)
    low, high = make_trial(3, score=0.5), make_trial(4, score=0.9)
    assert [t.id for t in rank([failed, pruned, low, high])] == [4, 3, 2, 1]


def test_ties_go_to_the_simpler_then_to_the_earlier_strategy() -> None:
    trials = [
        make_trial(1, score=0.8, complexity=5),
        make_trial(3, score=0.8, complexity=2),
        make_trial(2, score=0.8, complexity=2),
    ]
    assert [t.id for t in rank(trials)] == [2, 3, 1]


def test_a_score_that_is_no_number_is_last_of_the_complete_and_no_leader() -> None:
    trials = [make_trial(1, score=math.nan), make_trial(2, score=0.1)]
    assert [t.id for t in rank(trials)] == [2, 1]
    assert [t.id for t in leaders(trials)] == [2]


def test_leaders_leave_out_repeats_and_keep_to_the_limit() -> None:
    trials = [make_trial(i, score=i / 10) for i in range(1, 6)]
    repeat = make_trial(9, score=0.99, repeats=5)
    assert [t.id for t in leaders([*trials, repeat], limit=2)] == [5, 4]
