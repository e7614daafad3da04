"""Components that keep failing are taken out of a search."""

from collections import Counter
from dataclasses import replace

from automl_xfer.components import Strategy
from automl_xfer.errors import AutomlXferError
from automl_xfer.search.session import Session
from automl_xfer.space.choosing import name_of
from automl_xfer.study.records import FailureKind, TrialState

_STRIKES = 3
"""So many failures of one component in a row, and it is taken out of the space."""

_NOBODYS_FAULT = (FailureKind.INTERRUPTED, FailureKind.TIMEOUT)


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
