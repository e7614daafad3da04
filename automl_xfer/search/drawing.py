"""Drawing: the next strategy that the sampler has in mind and that may run."""

from random import Random

import optuna
from optuna.trial import TrialState as OptunaState

from automl_xfer.components import Strategy
from automl_xfer.search.failing import component_keys
from automl_xfer.search.objective import would_not_end
from automl_xfer.search.portfolio import enqueue, tried
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import with_teacher
from automl_xfer.study.records import Role, TrialState
from automl_xfer.study.workers import current_worker

_MOST_DRAWN = 100
"""So many draws in a row that cannot be run, and the search has nothing left to try."""

_MOST_NEAR = 20


def draw_ahead(session: Session) -> None:
    """Queue what comes after the trial that runs now, while it does."""
    limit = session.options.trials
    if limit is None or session.trials_run < limit:
        session.next_waits = enqueue_next(session)


def enqueue_next(session: Session) -> bool:
    """Queue what the sampler would try next where nothing waits; False if there is nothing."""
    trials = session.optuna_study.get_trials(deepcopy=False)
    if any(trial.state is OptunaState.WAITING for trial in trials):
        return True
    here, running = current_worker(), TrialState.RUNNING
    others = any(each.state is running and each.worker != here for each in session.trials())
    session.optuna_study.sampler = session.samplers[others]
    study, known = session.study_copy.refreshed(trials, with_running=others), tried(session)
    random = Random(session.options.seed + len(known))
    for _ in range(_MOST_DRAWN):
        found = _draw(session, study, known, random)
        if found is not None:
            enqueue(session, found, {})
            return True
    return False


def _draw(
    session: Session, study: optuna.Study, known: set[str], random: Random
) -> Strategy | None:
    """One draw, or a strategy near it where it was run before; None if it may not run.

    Late in a search the sampler draws what it has drawn before more and more often.
    """
    trial = study.ask()
    drawn = session.space.suggest(trial)
    if drawn.to_json() not in known:
        found = drawn if _may_run(session, drawn) else None
    else:
        found = _near(session, drawn, known, random)
    # The sampler takes a pruned trial for a bad one, and moves on; a failed one tells it nothing.
    study.tell(trial, state=OptunaState.PRUNED if found is None else OptunaState.FAIL)
    return found


def _near(session: Session, strategy: Strategy, known: set[str], random: Random) -> Strategy | None:
    """A strategy that differs from `strategy` in a few answers and may run, if one is found."""
    for _ in range(_MOST_NEAR):
        near = session.space.neighbour(strategy, random)
        if near.to_json() not in known and _may_run(session, near):
            return near
    return None


def _may_run(session: Session, strategy: Strategy) -> bool:
    """Whether a strategy of the space can be run, and would end in time."""
    if session.removed & set(component_keys(strategy)):
        return False
    taught = with_teacher(session, strategy)
    return taught is not None and not would_not_end(session, taught, Role.SEARCH)
