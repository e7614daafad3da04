"""Allowance: how long a trial may take, and whether it would end by then."""

from automl_xfer.components import Strategy
from automl_xfer.search.cost import predicted_seconds
from automl_xfer.search.deadline import TRIAL_SHARE
from automl_xfer.search.events import Note
from automl_xfer.search.foreseen import foreseen_seconds
from automl_xfer.search.session import Session
from automl_xfer.study.records import Role
from automl_xfer.transfer.adapting import adapts_model


def time_allowed(session: Session, strategy: Strategy) -> float:
    """Seconds that a trial may take now: what is left of the search, and no more than its share.

    A frozen one that must make features may take what is left, as later ones find them made; so
    do its repeats and its final fit.
    """
    share = TRIAL_SHARE * session.options.time_limit
    makes_features = strategy.frozen and not adapts_model(strategy.alignment)
    left = session.search_left() if makes_features else session.trial_left()
    if makes_features and foreseen_seconds(session, strategy) > share:
        return left
    return min(left, share)


def would_not_end(session: Session, strategy: Strategy, role: Role) -> bool:
    """Whether a trial would take longer than it may."""
    allowed = time_allowed(session, strategy)
    seconds = predicted_seconds(session, strategy)
    if seconds > allowed and role is not Role.SEARCH:
        told = f"it would take about {seconds:.0f} s, and a trial may take {allowed:.0f} s now"
        session.tell(Note(f"{strategy.describe()} was left out: {told}"))
        session.left_out.setdefault(strategy.describe(), seconds)
    return seconds > allowed
