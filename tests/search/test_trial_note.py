"""A picture for the best, and no more of them than anyone looks at."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from automl_xfer.search.trial_note import _is_among_best
from automl_xfer.study.records import Role, TrialRecord, TrialState

RECORD = TrialRecord(1, "s", 0, Role.SEARCH, {}, "d", TrialState.COMPLETE, 0, score=0.5)


@pytest.mark.parametrize(("better", "has_one"), [(0, True), (19, True), (20, False)])
def test_the_twenty_best_so_far_have_a_picture(better, has_one):
    others = [replace(RECORD, score=0.6)] * better + [replace(RECORD, score=0.5)] * 30
    session = SimpleNamespace(complete_trials=lambda: [*others, RECORD])
    assert _is_among_best(session, RECORD) is has_one


def test_what_has_no_score_has_no_picture():
    session = SimpleNamespace(complete_trials=list)
    assert not _is_among_best(session, replace(RECORD, state=TrialState.PRUNED))
    assert not _is_among_best(session, replace(RECORD, score=None))
