"""Objective: one trial from the draw to the record. The only place that runs trials."""

import json
import traceback
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import optuna

from automl_xfer.components import Strategy
from automl_xfer.errors import AutomlXferError
from automl_xfer.evaluation.intervals import bootstrap_interval
from automl_xfer.search.child import ChildFailure, StopRequested, run_in_child
from automl_xfer.search.cost import predicted_seconds
from automl_xfer.search.events import TrialFinished, TrialStarted
from automl_xfer.search.judging import (
    best_trial,
    read_predictions,
    uncounted_scores,
    unlabelled_score,
)
from automl_xfer.search.plan import Plan
from automl_xfer.search.portfolio import QUEUED, enqueue, tried
from automl_xfer.search.pruning import CorrectImages, correct_images, is_hopeless
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import with_teacher, without_teacher
from automl_xfer.search.trial import TrialOutcome, TrialRequest, TrialStep, run_trial
from automl_xfer.search.trial_note import annotate
from automl_xfer.space.choosing import name_of
from automl_xfer.study.records import FailureKind, Role, TrialRecord, TrialState
from automl_xfer.study.workers import current_worker
from automl_xfer.transfer.adapting import adapts_model

_TRIAL_SHARE = 0.3
"""No trial may take more than this share of the whole time."""

_STRIKES = 3
"""So many failures of one component in a row, and it is taken out of the space."""


_PATIENCE = 10
"""So many known strategies in a row, and the sampler is pushed away from where it is."""

_NOBODYS_FAULT = (FailureKind.INTERRUPTED, FailureKind.TIMEOUT)


class TrialFailedError(AutomlXferError):
    """Tells Optuna that a trial failed; the record says why."""


def objective(session: Session, trial: optuna.Trial) -> float:
    """Draw, run and record one strategy; what Optuna optimises."""
    strategy = with_teacher(session, session.space.suggest(trial))
    if strategy is None:
        session.draws_skipped += 1
        raise TrialFailedError("there is no frozen strategy yet to learn from")
    role = Role(trial.user_attrs.get("role", Role.SEARCH))
    if (
        not _is_what_was_queued(session, trial, strategy)
        or session.removed & set(component_keys(strategy))
        or would_not_end(session, strategy, role)
    ):
        session.draws_skipped += 1
        raise optuna.TrialPruned
    if _was_drawn_before(session, trial, strategy):
        session.draws_skipped += 1
        if session.draws_skipped > _PATIENCE:
            raise optuna.TrialPruned  # the sampler takes it for a bad one, and moves on
        raise TrialFailedError("drawn before")  # the sampler learns nothing from a failed trial
    session.draws_skipped = 0
    session.trials_run += 1
    record = new_record(session, strategy, role, session.options.seed)
    record = replace(record, number=trial.number, baseline=trial.user_attrs.get("baseline"))
    trial.set_user_attr("strategy", strategy.describe())

    def report(step: TrialStep) -> bool:
        trial.report(step.score, step.step + 1)
        return not step.whole and trial.should_prune()

    allowed = time_allowed(session, strategy)
    record = execute(session, strategy, record, session.plan, allowed, report)
    annotate(session, trial, record)
    if record.state is TrialState.PRUNED:
        raise optuna.TrialPruned
    if record.state is not TrialState.COMPLETE or record.score is None:
        drop_failing_components(session)
        raise TrialFailedError(record.failure_message or "failed")
    return record.score


def _is_what_was_queued(session: Session, trial: optuna.Trial, strategy: Strategy) -> bool:
    """Whether the draw is the strategy that was queued, and nobody ran it meanwhile.

    Optuna draws anew, without a word, where a queued choice has another set of names by now; the
    strategy is then queued again under the names of today.
    """
    queued = trial.user_attrs.get(QUEUED)
    if queued is None:
        return True
    if queued in tried(session):
        return False
    if queued != without_teacher(strategy).to_json():
        made = Strategy.from_dict(json.loads(queued), session.catalog.classes)
        if session.space.is_admissible(made):
            kept = {key: trial.user_attrs.get(key) for key in ("role", "baseline")}
            enqueue(session, made, kept)
        return False
    return True


def _was_drawn_before(session: Session, trial: optuna.Trial, strategy: Strategy) -> bool:
    return QUEUED not in trial.user_attrs and strategy.to_json() in tried(session)


def time_allowed(session: Session, strategy: Strategy) -> float:
    """Seconds that a trial may take now: what is left of the search, and no more than its share.

    A frozen one that must make features may take what is left, as later ones find them made.
    """
    left = session.trial_left()
    share = _TRIAL_SHARE * session.options.time_limit
    makes_features = strategy.frozen and not adapts_model(strategy.alignment)
    if makes_features and predicted_seconds(session, strategy) > share:
        return left
    return min(left, share)


def would_not_end(session: Session, strategy: Strategy, role: Role) -> bool:
    """Whether a trial would take longer than it may."""
    allowed = time_allowed(session, strategy)
    seconds = predicted_seconds(session, strategy)
    if seconds > allowed and role is not Role.SEARCH:
        session.note(
            f"{strategy.describe()} was left out: it would take about {seconds:.0f} s, and a trial "
            f"may take {allowed:.0f} s now"
        )
    return seconds > allowed


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
) -> TrialRecord:
    """Train and score in a child process; the finished record, stored and announced.

    `report` is given every step, and says of an early epoch whether to go on is worth it.
    Raises StopRequested, after recording the interruption, when the user asked to stop.
    """
    watch = _Watch(session, record, report)
    record = session.store.add_trial(record)
    session.tell(TrialStarted(record.number, record.description))
    request = _request(session, strategy, record, plan)
    stopped: StopRequested | None = None
    try:
        outcome = run_in_child(
            run_trial,
            request,
            timeout=timeout,
            answer=watch.answer,
            should_stop=session.should_stop,
        )
        record = _finished(session, record, outcome, request.predictions_path)
    except ChildFailure as failure:
        record = replace(
            record,
            state=TrialState.FAILED,
            failure_kind=failure.kind,
            failure_message=str(failure),
            traceback=failure.trace,
        )
    except StopRequested as request_to_stop:
        stopped = request_to_stop
        record = replace(
            record,
            state=TrialState.FAILED,
            failure_kind=FailureKind.INTERRUPTED,
            failure_message="stopped by the user",
        )
    record = replace(record, steps=tuple(watch.scores), finished=datetime.now(UTC))
    session.store.update_trial(record)
    _announce(session, record)
    if stopped is not None:
        raise stopped
    return record


def _request(session: Session, strategy: Strategy, record: TrialRecord, plan: Plan) -> TrialRequest:
    return TrialRequest(
        strategy=strategy.to_dict(),
        data=session.prepared.data,
        plan=plan,
        seed=record.seed,
        device=session.device,
        cache_directory=session.cache_directory,
        predictions_path=(session.directory / "trials" / _file_name(record)).resolve(),
        plugins=session.plugins,
    )


def _file_name(record: TrialRecord) -> str:
    """Another database may count its trials in the same folder: the number is not enough."""
    return f"{record.id:05d}-{uuid.uuid4().hex[:8]}.npz"


class _Watch:
    """Answers a child after each fold or epoch: report the score, prune what is hopeless.

    Folds are held against the best trial's, image by image; early epochs against what others had
    reached by then (successive halving), and never against what they reached at their end.
    """

    def __init__(
        self, session: Session, record: TrialRecord, report: Callable[[TrialStep], bool]
    ) -> None:
        self.report = report
        self.scores: list[float] = []
        self.correct = CorrectImages()
        self.best: CorrectImages | None = None
        comparable = session.has_target_labels and session.plan.metric == "accuracy"
        self.may_be_pruned = record.role in (Role.PORTFOLIO, Role.SEARCH)
        best = best_trial(session) if comparable and self.may_be_pruned else None
        if best:
            predictions = read_predictions(session, best)
            labels = session.prepared.data.target.labels  # type: ignore[union-attr]
            assert labels is not None
            right = predictions.probabilities.argmax(1) == labels[predictions.rows]
            self.best = correct_images(predictions.rows, right)

    def answer(self, step: TrialStep) -> bool:
        """Whether the child should stop."""
        falls_behind = self.report(step)
        self.scores.append(step.score)
        if not step.whole:
            return falls_behind and self.may_be_pruned
        self.correct.add(step)
        return self.best is not None and is_hopeless(self.correct, self.best)


def _finished(
    session: Session, record: TrialRecord, outcome: TrialOutcome, predictions: Path
) -> TrialRecord:
    record = replace(
        record,
        state=TrialState.PRUNED if outcome.pruned else TrialState.COMPLETE,
        score=outcome.score,
        metrics=outcome.metrics,
        timings=outcome.timings,
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
        predictions = read_predictions(session, best)
        labels = session.prepared.data.target.labels  # type: ignore[union-attr]
        assert labels is not None
        interval = bootstrap_interval(
            session.plan.metric, labels[predictions.rows], predictions.probabilities
        )
    session.tell(TrialFinished(record, best, interval))
    session.loaded.call("after_trial", record=record)


def drop_failing_components(session: Session) -> None:
    """Take out a component whose last three trials all failed by no fault of time or user.

    Where several components share the failures, the one with the fewest successes goes; the
    others show by their next trials whether they were to blame.
    """
    streaks: Counter[tuple[str, str]] = Counter()
    successes: Counter[tuple[str, str]] = Counter()
    for record in session.trials():
        if record.state is TrialState.RUNNING or record.failure_kind in _NOBODYS_FAULT:
            continue
        failed = record.state is TrialState.FAILED
        for key in component_keys(session.history.strategy(record, session.catalog.classes)):
            streaks[key] = streaks[key] + 1 if failed else 0
            successes[key] += not failed
    suspects = [key for key, strikes in streaks.items() if strikes >= _STRIKES]
    suspects = [key for key in suspects if key not in session.removed]
    if suspects:
        _take_out(session, *min(suspects, key=lambda key: successes[key]))


def component_keys(strategy: Strategy) -> list[tuple[str, str]]:
    """(axis, name) of every component, a backbone by its label."""
    return [(axis, name_of(component)) for axis, component in strategy.components().items()]


def _take_out(session: Session, axis: str, name: str) -> None:
    """Draws that hold the component are thrown away from now on.

    The space itself stays: another choice list would orphan what the sampler has learnt and what
    is still queued.
    """
    try:
        replace(session.space, removed=frozenset({*session.removed, (axis, name)}))
    except AutomlXferError:
        return  # nothing else is left on this axis: go on with it
    session.removed.add((axis, name))
    session.note(f"{axis} {name} failed {_STRIKES} times in a row and was taken out", warning=True)
