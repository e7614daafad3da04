"""Student: one model trained to say what the ensemble of the finalists says, in place of it."""

import math

from automl_xfer.components import Strategy
from automl_xfer.search.child import StopRequested
from automl_xfer.search.cost import fold_seconds
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.finalist import Finalist, beats, log_score
from automl_xfer.search.finalists import fit_all_seconds, with_others
from automl_xfer.search.ingredients import is_kept
from automl_xfer.search.judging import log_loss
from automl_xfer.search.latency import latency_ms, within_limit
from automl_xfer.search.objective import new_record
from automl_xfer.search.session import Session
from automl_xfer.search.soup import run_once
from automl_xfer.search.teacher import WEIGHT, taught_by
from automl_xfer.search.winner import Winner, ensemble
from automl_xfer.study.records import Role, TrialRecord

_RESERVE = 1.3
"""The student's trial may take so many times what it is expected to."""


def or_student(session: Session, winner: Winner, finalists: list[Finalist]) -> Winner:
    """The winner, or a student of the finalists' ensemble that is as good and no slower.

    As good: no worse by log score, and the winner is not better beyond the paired interval. The
    student is the best strategy that distils, with a better teacher. It is trained where the time
    suffices, and told either way.
    """
    if not session.has_target_labels or session.should_stop():
        return winner
    teachers = [each for each in ensemble(session, finalists) if not is_student(each[0])]
    base = _best_that_distils(session, winner)
    if len(teachers) < 2 or base is None:
        return winner
    student = _trained(session, base, teachers, winner)
    if student is None:
        return winner
    alone = Winner(((Finalist(student), 1.0),))
    own, others = (log_score(session, each.members) for each in (alone, winner))
    chosen = own >= others and not beats(session, winner.members, Finalist(student))
    session.note(_told(session, alone, winner, chosen))
    return alone if chosen else winner


def is_student(finalist: Finalist) -> bool:
    """Whether it was made by an earlier end, which would teach itself."""
    taught = finalist.trial.strategy["regularizer"].get("teacher")
    return finalist.trial.number is None and bool(taught)


def _best_that_distils(session: Session, winner: Winner) -> TrialRecord | None:
    """Of the search's own strategies, one that is no slower than the winner."""
    limit = latency_ms(session, [each.trial for each, _ in winner.members]) or math.inf
    distils = [
        trial
        for trial in session.complete_trials()
        if trial.number is not None and trial.strategy["regularizer"].get("teacher")
        if (latency_ms(session, [trial]) or 0.0) <= limit and within_limit(session, [trial])
    ]
    return min(distils, key=log_loss, default=None)


def _trained(
    session: Session,
    base: TrialRecord,
    teachers: list[tuple[Finalist, float]],
    winner: Winner,
) -> TrialRecord | None:
    """The finished trial of the student, of an earlier end or of now; None without time."""
    strategy = taught_by(
        Strategy.from_dict(base.strategy, session.catalog.classes),
        [{**each.trial.strategy, WEIGHT: round(weight, 4)} for each, weight in teachers],
    )
    may_win = [each.trial for each, _ in winner.members]
    fitted = with_others([each for each, _ in teachers], [base, *may_win])
    left = session.deadline.left(FIT_SHARE) - fit_all_seconds(session, fitted)
    needed = _RESERVE * _trial_seconds(session, base, [each.trial for each, _ in teachers])
    if left < needed:
        return None
    session.phase("student", f"one model learns from {len(teachers)}")
    record = new_record(session, strategy, Role.FINALIST, session.options.seed)
    try:
        return run_once(session, record, min(left, 2 * needed))
    except StopRequested:  # by the user: the winner stands
        return None


def _trial_seconds(session: Session, base: TrialRecord, teachers: list[TrialRecord]) -> float:
    """Expected seconds of the student's trial: its own, and of teachers whose weights are gone.

    Frozen ones are fitted again, from features that are kept.
    """
    folds = len(session.plan.folds)
    own = base.timings.get("predict", 0.0) + folds * fold_seconds(session, base)
    again = [teacher for teacher in teachers if not is_kept(session, teacher)]
    return own + sum(folds * fold_seconds(session, teacher) for teacher in again)


def _told(session: Session, student: Winner, winner: Winner, chosen: bool) -> str:
    own, others = (
        latency_ms(session, [each.trial for each, _ in made.members]) for made in (student, winner)
    )
    known = own is not None and others is not None and math.isfinite(own + others)
    speed = f" and takes about {own:.0f} ms an image in place of {others:.0f}" if known else ""
    losses = [-log_score(session, made.members) for made in (student, winner)]
    verdict = "It was chosen" if chosen else "It was not chosen"
    return (
        "A student, one model trained to say what the ensemble of the finalists says, has a "
        f"log-loss of {losses[0]:.3f} in place of {losses[1]:.3f}{speed}. {verdict}."
    )
