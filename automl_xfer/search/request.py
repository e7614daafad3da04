"""Request: what a trial's process is asked, which may begin before the trial has its record."""

import json
import logging
import uuid

from automl_xfer.components import Strategy
from automl_xfer.errors import ComponentError
from automl_xfer.search.allowance import time_allowed
from automl_xfer.search.child import begin_in_child, end_begun
from automl_xfer.search.cost import predicted_seconds
from automl_xfer.search.failing import component_keys
from automl_xfer.search.plan import Plan
from automl_xfer.search.session import Session
from automl_xfer.search.trial import TrialRequest, run_trial
from automl_xfer.study.records import TrialState
from automl_xfer.study.workers import current_worker

logger = logging.getLogger(__name__)


def request_for(session: Session, strategy: Strategy, seed: int, plan: Plan) -> TrialRequest:
    """What a process is asked for this trial; that with which it began already, if it did."""
    made = TrialRequest(
        strategy=strategy.to_dict(),
        data=session.prepared.data,
        plan=plan,
        seed=seed,
        device=session.device,
        cache_directory=session.cache_directory,
        # Another database may count its trials in the same folder.
        predictions_path=(session.directory / "trials" / f"{uuid.uuid4().hex}.npz").resolve(),
        plugins=session.plugins,
        micro_batches=session.micro_batches,
        compiler=session.compiler,
    )
    begun, session.begun = session.begun, None
    return begun if begun is not None and _is_same(begun, made) else made


def _is_same(one: TrialRequest, other: TrialRequest) -> bool:
    """Whether they differ in no more than when they began and where the predictions go."""
    told = [
        (each.strategy, each.seed, each.micro_batches, id(each.plan), id(each.data))
        for each in (one, other)
    ]
    return told[0] == told[1]


def begin_next(session: Session) -> None:
    """Let a process begin with the trial that waits, while the records of the last are written.

    What fails here is logged: the trial before must not suffer.
    """
    try:
        strategy = _next_strategy(session)
        if strategy is not None:
            request = request_for(session, strategy, session.options.seed, session.plan)
            begin_in_child(run_trial, request)
            session.begun = request
    except Exception:
        logger.warning("the next trial could not begin early", exc_info=True)


def end_what_began(session: Session) -> None:
    """End what began early if no trial took it up."""
    if session.begun is not None:
        session.begun = None
        end_begun()


def _next_strategy(session: Session) -> Strategy | None:
    """What will run next for all that is known: nobody else may take it, and it would end."""
    queued = session.next_queued if session.next_waits else None
    if queued is None or session.should_stop() or session.search_left() < 1.0:
        return None
    here, running = current_worker(), TrialState.RUNNING
    if any(each.state is running and each.worker != here for each in session.trials()):
        return None
    try:
        strategy = Strategy.from_dict(json.loads(queued), session.catalog.classes)
    except ComponentError:  # its plugin is gone
        return None
    if strategy.regularizer.distils or session.removed & set(component_keys(strategy)):
        return None  # who teaches it, the last trial may change
    would_end = predicted_seconds(session, strategy) <= time_allowed(session, strategy)
    return strategy if would_end else None
