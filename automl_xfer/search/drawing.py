"""Drawing: the next strategy that the sampler has in mind and that may run."""

import logging
from functools import partial

import optuna
from optuna.trial import TrialState as OptunaState

from automl_xfer.components import Strategy
from automl_xfer.errors import ComponentError
from automl_xfer.search.allowance import would_not_end
from automl_xfer.search.cost import predicted_seconds
from automl_xfer.search.failing import component_keys
from automl_xfer.search.portfolio import QUEUED, enqueue, tried
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import with_teacher
from automl_xfer.study.records import Role, TrialState
from automl_xfer.study.workers import current_worker

_MOST_DRAWN = 100
"""So many draws in a row that cannot be run, and the search has nothing left to try."""

_MOST_AHEAD = 5
"""Draws while a trial runs: its process waits for our answer meanwhile."""

_MOST_NEAR = 20

_DEAR = 0.1
"""What would take more than this share of the time that the run has taken is dear."""

_MOST_ASIDE = 3
"""So many draws are set aside as dear; then the cheapest of them is run."""

logger = logging.getLogger(__name__)


def draw_ahead(session: Session) -> None:
    """Queue what comes after the trial that runs now, while it does.

    What fails here is logged: the trial must not suffer, and after it the draw is made again.
    """
    limit = session.options.trials
    if limit is not None and session.trials_run >= limit:
        return
    try:
        session.next_waits = enqueue_next(session, _MOST_AHEAD)
    except Exception:
        logger.warning("the next strategy could not be drawn ahead", exc_info=True)


def enqueue_next(session: Session, most: int = _MOST_DRAWN) -> bool:
    """Queue what the sampler would try next where nothing waits.

    False if so many draws came to nothing, or the user asks to stop.
    """
    trials = session.optuna_study.get_trials(deepcopy=False)
    waiting = [trial for trial in trials if trial.state is OptunaState.WAITING]
    if waiting:
        session.next_queued = waiting[0].user_attrs.get(QUEUED)
        return True
    here, running = current_worker(), TrialState.RUNNING
    others = any(each.state is running and each.worker != here for each in session.trials())
    with session.study_copy.with_trials(trials, running=others) as study:
        return _draw_and_queue(session, study, tried(session), most)


def _draw_and_queue(session: Session, study: optuna.Study, known: set[str], most: int) -> bool:
    """Queue the first draw that may run and is not dear; of three dear ones the cheapest."""
    aside: list[Strategy] = []
    for _ in range(most):
        if session.should_stop():
            return False
        trial = study.ask()
        found = _found(session, session.space.suggest(trial), known)
        dear = found is not None and _is_dear(session, found)
        queued = found is not None and not dear and _is_queued(session, found)
        # The sampler takes a pruned trial for a bad one; a failed one tells it nothing.
        study.tell(trial, state=OptunaState.FAIL if queued or dear else OptunaState.PRUNED)
        if queued:
            return True
        aside += [found] if found is not None and dear else []
        if len(aside) == _MOST_ASIDE:
            break
    cheapest_first = sorted(aside, key=partial(predicted_seconds, session))
    return any(_is_queued(session, strategy) for strategy in cheapest_first)


def _is_dear(session: Session, strategy: Strategy) -> bool:
    """Whether a strategy takes long for how long this run has searched; trials may be counted."""
    if session.options.trials is not None or not session.space.is_admissible(strategy):
        return False
    return predicted_seconds(session, strategy) > _DEAR * session.deadline.elapsed


def _is_queued(session: Session, strategy: Strategy) -> bool:
    """Queue it, unless its values cannot be drawn: a plugin's component may change them."""
    try:
        enqueue(session, strategy, {})
    except ComponentError:
        return False
    session.next_queued = strategy.to_json()
    return True


def _found(session: Session, drawn: Strategy, known: set[str]) -> Strategy | None:
    """What was drawn, or a strategy near it where it was run before; None if it may not run.

    Late in a search the sampler draws what it has drawn before more and more often.
    """
    if drawn.to_json() in known:
        return _near(session, drawn, known)
    return drawn if _may_run(session, drawn) else None


def _near(session: Session, strategy: Strategy, known: set[str]) -> Strategy | None:
    """A strategy that differs from `strategy` in a few answers and may run, if one is found."""
    for _ in range(_MOST_NEAR):
        near = session.space.neighbour(strategy, session.study_copy.random)
        if near.to_json() not in known and _may_run(session, near):
            return near
    return None


def _may_run(session: Session, strategy: Strategy) -> bool:
    """Whether a strategy of the space can be run, and would end in time."""
    if session.removed & set(component_keys(strategy)):
        return False
    taught = with_teacher(session, strategy)
    return taught is not None and not would_not_end(session, taught, Role.SEARCH)
