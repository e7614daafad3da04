"""Objective: one trial from the queue to the record. The only place that runs trials."""

import json
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import optuna

from automl_xfer.components import Strategy
from automl_xfer.errors import AutomlXferError, ComponentError
from automl_xfer.evaluation.intervals import score_interval
from automl_xfer.search.allowance import time_allowed, would_not_end
from automl_xfer.search.child import ChildFailure, StopRequested, run_in_child
from automl_xfer.search.events import TrialFinished, TrialStarted
from automl_xfer.search.failing import component_keys, drop_failing_components
from automl_xfer.search.foreseen import foreseen_seconds
from automl_xfer.search.judging import (
    best_trial,
    uncounted_scores,
    unlabelled_score,
)
from automl_xfer.search.plan import Plan
from automl_xfer.search.portfolio import DESCRIPTION, QUEUED, enqueue, tried
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.request import begin_next, request_for
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import with_teacher
from automl_xfer.search.trial import TrialOutcome, TrialRequest, TrialStep, run_trial
from automl_xfer.search.trial_note import annotate
from automl_xfer.search.watch import Watch
from automl_xfer.study.records import FORESEEN, FailureKind, Role, TrialRecord, TrialState
from automl_xfer.study.workers import current_worker


class TrialFailedError(AutomlXferError):
    """Tells Optuna that a trial failed; the record says why."""


def objective(
    session: Session, trial: optuna.Trial, meanwhile: Callable[[], None] = lambda: None
) -> float:
    """Run and record one strategy, and do something while it runs; what Optuna optimises."""
    if not _was_queued(trial):
        raise TrialFailedError("another process took what waited")
    try:
        drawn = session.space.suggest(trial)
    except ComponentError as error:  # an earlier version queued it
        raise TrialFailedError(str(error)) from None
    if not _is_what_was_queued(session, trial, drawn):
        raise TrialFailedError("it ran before, or is queued anew")
    strategy = with_teacher(session, drawn)
    if strategy is None:
        raise TrialFailedError("there is no frozen strategy yet to learn from")
    role = Role(trial.user_attrs.get("role", Role.SEARCH))
    if session.removed & set(component_keys(strategy)):
        raise TrialFailedError("a component of it kept failing")
    if would_not_end(session, strategy, role):
        raise optuna.TrialPruned  # the sampler takes it for a bad one
    session.trials_run += 1
    record = new_record(session, strategy, role, session.options.seed)
    record = replace(record, number=trial.number, baseline=trial.user_attrs.get("baseline"))
    if trial.user_attrs.get(DESCRIPTION) != record.description:
        trial.set_user_attr(DESCRIPTION, record.description)

    def report(step: TrialStep) -> bool:
        trial.report(step.score, step.step + 1)
        return not step.whole and trial.should_prune()

    allowed = time_allowed(session, strategy)
    then = partial(begin_next, session)
    record = execute(session, strategy, record, session.plan, allowed, report, meanwhile, then)
    annotate(session, trial, record)
    if record.state is TrialState.PRUNED:
        raise optuna.TrialPruned
    if record.state is not TrialState.COMPLETE or record.score is None:
        drop_failing_components(session)
        raise TrialFailedError(record.failure_message or "failed")
    return record.score


def _was_queued(trial: optuna.Trial) -> bool:
    """Whether the trial came from the queue: an empty one Optuna would draw in the database."""
    if QUEUED in trial.user_attrs:
        return True
    return "fixed_params" in trial.storage.get_trial_system_attrs(trial._trial_id)


def _is_what_was_queued(session: Session, trial: optuna.Trial, strategy: Strategy) -> bool:
    """Whether this is the strategy that was queued, and nobody ran it meanwhile.

    Optuna draws anew, without a word, where a queued choice has another set of names by now; the
    strategy is then queued again under the names of today.
    """
    queued = trial.user_attrs.get(QUEUED)
    if queued is None:  # by a user, with Optuna's own means
        return strategy.to_json() not in tried(session)
    if queued in tried(session):
        return False
    if queued != strategy.to_json():
        try:
            made = Strategy.from_dict(json.loads(queued), session.catalog.classes)
        except ComponentError as error:
            raise TrialFailedError(str(error)) from None
        if session.space.is_admissible(made):
            kept = {key: trial.user_attrs.get(key) for key in ("role", "baseline")}
            enqueue(session, made, kept)
        return False
    return True


def new_record(session: Session, strategy: Strategy, role: Role, seed: int) -> TrialRecord:
    """The record of a trial about to start."""
    return TrialRecord(
        id=0,
        study=session.name,
        number=None,
        role=role,
        strategy=strategy.to_dict(),
        description=strategy.describe(),
        complexity=strategy.complexity,
        state=TrialState.RUNNING,
        seed=seed,
        device=session.device,
        worker=current_worker(),
        started=datetime.now(UTC),
    )


def execute(
    session: Session,
    strategy: Strategy,
    record: TrialRecord,
    plan: Plan,
    timeout: float,
    report: Callable[[TrialStep], bool] = lambda step: False,
    meanwhile: Callable[[], None] = lambda: None,
    then: Callable[[], None] = lambda: None,
) -> TrialRecord:
    """Train and score in a child process; the finished record, stored and announced.

    `report` is given every step, and says of an early epoch whether to go on is worth it;
    `meanwhile` is called once while the child is at work, `then` once the record of a trial that
    did not fail is stored.
    Raises StopRequested, after recording the interruption, when the user asked to stop.
    """
    watch = Watch(session, record, report)
    request = request_for(session, strategy, record.seed, plan)
    record = session.store.add_trial(replace(record, started=request.began))
    session.tell(TrialStarted(record.number, record.description))
    foreseen = foreseen_seconds(session, strategy) if _trains_alone(strategy) else 0.0
    if foreseen:
        record = replace(record, timings={FORESEEN: foreseen})
    ended = _run(session, request, watch, record, timeout, meanwhile)
    record = replace(ended, steps=tuple(watch.scores), finished=datetime.now(UTC))
    session.store.update_trial(record)
    if record.state is not TrialState.FAILED:
        then()
    _announce(session, record)
    if record.failure_kind is FailureKind.INTERRUPTED:
        raise StopRequested(record.failure_message)
    return record


def _trains_alone(strategy: Strategy) -> bool:
    """Whether its own backbone's speed foretells its time: not that of a teacher, say."""
    others = strategy.regularizer.distils or strategy.freezing.averages
    return not others and strategy.backbone.initialisation != "source"


def _run(
    session: Session,
    request: TrialRequest,
    watch: Watch,
    record: TrialRecord,
    timeout: float,
    meanwhile: Callable[[], None],
) -> TrialRecord:
    """The record with what came of the request within `timeout` seconds from now."""
    try:
        outcome = run_in_child(
            run_trial,
            request,
            timeout=timeout,
            answer=watch.answer,
            answered=watch.answered,
            meanwhile=meanwhile,
            should_stop=session.should_stop,
        )
        session.remember_micro_batches(outcome.micro_batches)
        return _finished(session, record, outcome, request.predictions_path)
    except ChildFailure as failure:
        kind, message, trace = failure.kind, str(failure), failure.trace
    except StopRequested:
        kind, message, trace = FailureKind.INTERRUPTED, "stopped by the user", None
    return replace(
        record,
        state=TrialState.FAILED,
        failure_kind=kind,
        failure_message=message,
        traceback=trace,
    )


def _finished(
    session: Session, record: TrialRecord, outcome: TrialOutcome, predictions: Path
) -> TrialRecord:
    record = replace(
        record,
        state=TrialState.PRUNED if outcome.pruned else TrialState.COMPLETE,
        score=outcome.score,
        metrics=outcome.metrics,
        timings={**record.timings, **outcome.timings},
        peak_memory_mb=outcome.peak_memory_mb,
        predictions_path=predictions.relative_to(session.directory.resolve()).as_posix(),
    )
    if session.has_target_labels:
        return record
    try:
        metrics = {**record.metrics, **uncounted_scores(session, record)}
        return replace(record, score=unlabelled_score(session, record), metrics=metrics)
    except Exception as error:  # a plugin's validator costs this trial, not the search
        raise ChildFailure(
            FailureKind.PLUGIN_ERROR, f"a validator failed: {error}", traceback.format_exc()
        ) from error


def _announce(session: Session, record: TrialRecord) -> None:
    best = best_trial(session)
    interval = None
    if best is not None and session.has_target_labels:
        interval = _interval(session, best)
    session.tell(TrialFinished(record, best, interval))
    session.loaded.call("after_trial", record=record)


def _interval(session: Session, best: TrialRecord) -> tuple[float, float]:
    if session.best_interval is None or session.best_interval[0] != best.id:
        predictions = read_predictions(session, best)
        labels = session.prepared.data.target.labels  # type: ignore[union-attr]
        assert labels is not None
        interval = score_interval(
            session.plan.metric, labels[predictions.rows], predictions.probabilities
        )
        session.best_interval = best.id, interval
    return session.best_interval[1]
