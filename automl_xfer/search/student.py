"""Student: one model that learns from the ensemble of the finalists, in place of it."""

import math

import numpy as np

from automl_xfer.components import Strategy
from automl_xfer.evaluation.metrics import mean_log_loss
from automl_xfer.search.child import StopRequested
from automl_xfer.search.cost import fit_seconds
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.latency import latency_ms, within_limit
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import WEIGHT, taught_by
from automl_xfer.search.winner import Winner, ensemble, winner_held_out
from automl_xfer.study.records import Role, TrialRecord, TrialState

_RESERVE = 1.3
"""The student's trial and its final fit may take so many times what they are expected to."""


def or_student(session: Session, winner: Winner, finalists: list[Finalist]) -> Winner:
    """The winner, or a student of the finalists' ensemble that is as good by log-loss and faster.

    The student is the best strategy that distils, with a better teacher. It is trained where the
    time suffices, and told either way.
    """
    if not session.has_target_labels or session.should_stop():
        return winner
    teachers = [
        (each.trial, weight)
        for each, weight in ensemble(session, finalists)
        if not (each.trial.number is None and each.trial.strategy["regularizer"].get("teacher"))
    ]
    base = _best_that_distils(session)
    if len(teachers) < 2 or base is None or not _is_no_slower(session, base, winner):
        return winner
    student = _trained(session, base, teachers)
    if student is None:
        return winner
    alone = Winner(((Finalist(student), 1.0),))
    losses = [_log_loss(session, each) for each in (alone, winner)]
    session.note(_told(session, student, winner, losses))
    return alone if losses[0] <= losses[1] else winner


def _best_that_distils(session: Session) -> TrialRecord | None:
    distils = [
        trial
        for trial in session.complete_trials()
        if trial.number is not None and trial.strategy["regularizer"].get("teacher")
        if within_limit(session, [trial])
    ]
    return min(distils, key=lambda trial: trial.metrics.get("log-loss", math.inf), default=None)


def _is_no_slower(session: Session, base: TrialRecord, winner: Winner) -> bool:
    own = latency_ms(session, [base])
    others = latency_ms(session, [each.trial for each, _ in winner.members])
    return own is None or others is None or own <= others


def _trained(
    session: Session, base: TrialRecord, teachers: list[tuple[TrialRecord, float]]
) -> TrialRecord | None:
    """The finished trial of the student, of an earlier end or of now; None without time."""
    strategy = taught_by(
        Strategy.from_dict(base.strategy, session.catalog.classes),
        [{**trial.strategy, WEIGHT: round(weight, 4)} for trial, weight in teachers],
    )
    for known in session.complete_trials():
        if known.strategy == strategy.to_dict():
            return known
    taught = sum(fit_seconds(session, trial) for trial, _ in teachers)
    fits = _RESERVE * (fit_seconds(session, base) + taught)
    left = session.deadline.left(FIT_SHARE) - fits
    if left < _RESERVE * base.timings.get("total", math.inf):
        return None
    session.phase("student", f"one model learns from {len(teachers)}")
    record = new_record(session, strategy, Role.FINALIST, session.options.seed)
    try:
        done = execute(session, strategy, record, session.plan, left)
    except StopRequested:  # by the user: the winner stands
        return None
    return done if done.state is TrialState.COMPLETE else None


def _log_loss(session: Session, winner: Winner) -> float:
    labels, probabilities, _ = winner_held_out(session, winner)
    return float(mean_log_loss(labels, probabilities))


def _told(session: Session, student: TrialRecord, winner: Winner, losses: list[float]) -> str:
    own = latency_ms(session, [student])
    others = latency_ms(session, [each.trial for each, _ in winner.members])
    known = own is not None and others is not None and np.isfinite([own, others]).all()
    speed = f" and would take {own:.0f} ms an image instead of {others:.0f}" if known else ""
    verdict = "it is delivered" if losses[0] <= losses[1] else "it is not delivered"
    return (
        f"A student of the ensemble ({student.description}) has a log-loss of {losses[0]:.3f} "
        f"where the winner has {losses[1]:.3f}{speed}: {verdict}."
    )
