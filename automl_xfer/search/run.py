"""The whole road: data, a look at the backbones, search, finalists, final fit, bundle, report."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from automl_xfer.search.allowance import time_allowed, would_not_end
from automl_xfer.search.child import StopRequested, end_idle_children, prepare_children
from automl_xfer.search.drawing import draw_ahead, enqueue_next
from automl_xfer.search.ending import end
from automl_xfer.search.events import Listener
from automl_xfer.search.finalists import seconds_to_end
from automl_xfer.search.looking import look_at_backbones
from automl_xfer.search.objective import (
    TrialFailedError,
    execute,
    new_record,
    objective,
)
from automl_xfer.search.opening import open_session
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.portfolio import baselines_outside, enqueue_again, enqueue_start
from automl_xfer.search.request import end_what_began
from automl_xfer.search.session import Session
from automl_xfer.study.descriptions import trial_name
from automl_xfer.study.records import Role, StudyRecord


def run_search(
    options: SearchOptions,
    listener: Listener = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> StudyRecord:
    """Run or continue a study until its time or its trials are spent; the finished record.

    `should_stop` is asked several times a second: once it is true the best so far is fitted,
    bundled and reported. Raises AutomlXferError for whatever the user can mend.
    """
    prepare_children()
    session = open_session(options, listener, should_stop)
    try:
        look_at_backbones(session)
        _requeue_interrupted(session)
        _search(session)
        end(session)
    finally:
        end_idle_children()
        session.book_time()
    return session.store.get_study(session.name)


def _requeue_interrupted(session: Session) -> None:
    """Record what a killed process left as interrupted, and queue it once more."""
    interrupted = session.store.mark_interrupted(session.name)
    for record in interrupted:
        session.note(f"trial {trial_name(record)} was interrupted: {record.description}")
        if record.number is not None:
            enqueue_again(session, record)


def _search(session: Session) -> None:
    """Baselines, portfolio, then the sampler, until the search's share of the time is spent."""
    enqueue_start(session)
    _run_baselines_outside(session)
    limit = session.options.trials
    session.phase("search", session.plan.describe(_n_labelled(session)))
    goes_on = True
    while goes_on and not _search_is_over(session, limit):
        try:
            goes_on = run_one_trial(session)
        except StopRequested:
            break
    end_what_began(session)


def run_one_trial(session: Session) -> bool:
    """Run what waits or what Optuna draws, and foresee anew what the end will take.

    False if there is nothing left to try.
    """
    if not (session.next_waits or enqueue_next(session)):
        return False
    session.next_waits = False
    before, began_early = session.trials_run, session.begun
    session.optuna_study.optimize(
        lambda trial: objective(session, trial, partial(draw_ahead, session)),
        n_trials=1,
        catch=(TrialFailedError,),
    )
    if session.begun is began_early:
        end_what_began(session)  # the trial that it was begun for was refused
    if session.has_target_labels and session.trials_run > before:
        session.seconds_to_end = seconds_to_end(session)
    return True


def _run_baselines_outside(session: Session) -> None:
    outside = baselines_outside(session)
    if outside:
        session.phase("baselines", "outside the components that were asked for")
    for strategy, name in outside:
        if session.search_left() < 1.0 or session.should_stop():
            return
        if would_not_end(session, strategy, Role.BASELINE):
            continue
        record = new_record(session, strategy, Role.BASELINE, session.options.seed)
        record = replace(record, baseline=name)
        with suppress(StopRequested):
            execute(session, strategy, record, session.plan, time_allowed(session, strategy))


def _search_is_over(session: Session, limit: int | None) -> bool:
    spent = limit is not None and session.trials_run >= limit
    return spent or session.should_stop() or session.search_left() < 1.0


def _n_labelled(session: Session) -> int:
    return len(session.prepared.data.target or ())
