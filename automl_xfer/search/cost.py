"""Cost: predicted seconds of a trial, by its backbone's speed and by what trials before it took."""

from collections.abc import Iterator

from automl_xfer.components import Strategy
from automl_xfer.search.foreseen import foreseen_seconds
from automl_xfer.search.session import Session
from automl_xfer.study.records import FORESEEN, SPARED, FailureKind, TrialRecord, TrialState
from automl_xfer.transfer.adapting import adapts_model

_MARGIN = 1.15
"""Training is given so many times what is expected: what is cut off at the end was in vain."""

_MOST_TIMES, _PRIOR = 3.0, 0.05
"""Training is expected to take so many times what was foreseen, no more; seconds as foreseen that
count beside those of the study's trials, as a share of its time."""


def predicted_seconds(session: Session, strategy: Strategy) -> float:
    """Seconds of all folds of a trial; 0 where nothing is known of it.

    One that trains by gradient is expected to exceed what its speed foretells by as much as the
    study's others did, a frozen one by as much as the quickest with its head or its alignment.
    """
    seconds = foreseen_seconds(session, strategy)
    if strategy.frozen:
        return seconds + _beyond_foreseen(session, strategy)
    return _MARGIN * seconds * _times_foreseen(session)


def _beyond_foreseen(session: Session, strategy: Strategy) -> float:
    """Seconds beyond those foreseen that frozen trials with its head or alignment took, at least.

    Of a component that never finished: what the clock cut off, where the other one is known.
    """
    least: dict[tuple[str, str], float] = {}
    cut_off: list[tuple[list[tuple[str, str]], float]] = []
    for trial, seconds, ended in _timed(session):
        made = session.history.strategy(trial, session.catalog.classes)
        if not made.frozen or made.backbone.initialisation == "source":
            continue
        beyond = max(0.0, seconds - trial.timings.get(FORESEEN, 0.0))
        if not ended:
            cut_off.append((_slow_parts(made), beyond))
            continue
        for part in _slow_parts(made):
            least[part] = min(least.get(part, beyond), beyond)
    own = _slow_parts(strategy)
    known = [least.get(part, 0.0) for part in own]
    for parts, beyond in cut_off:
        unknown = [part for part in parts if part not in least]
        if len(unknown) == 1 and unknown[0] in own:
            known.append(beyond)
    return max(known)


def _slow_parts(strategy: Strategy) -> list[tuple[str, str]]:
    """What may take time in a frozen trial beside reading features."""
    return [(part.axis, part.name) for part in (strategy.head, strategy.alignment)]


def _times_foreseen(session: Session) -> float:
    """How many times longer than foreseen this study's training trials took, 1 to 3.

    One that was ended by the clock took at least as long as it ran.
    """
    taken = foreseen = _PRIOR * session.options.time_limit
    for trial, seconds, ended in _timed(session):
        expected = trial.timings.get(FORESEEN)
        if expected and not session.history.strategy(trial, session.catalog.classes).frozen:
            taken += seconds if ended else max(seconds, expected)
            foreseen += expected
    return min(max(taken / foreseen, 1.0), _MOST_TIMES)


def _timed(session: Session) -> Iterator[tuple[TrialRecord, float, bool]]:
    """(trial, its seconds, whether it finished) of those that did or were ended by the clock."""
    for trial in session.trials():
        if trial.repeats is not None:
            continue
        if trial.state is TrialState.COMPLETE:
            yield trial, _training(trial) + trial.timings["predict"], True
        elif trial.failure_kind is FailureKind.TIMEOUT and trial.started and trial.finished:
            yield trial, (trial.finished - trial.started).total_seconds(), False


def _training(trial: TrialRecord) -> float:
    """Seconds of training, of that too which an earlier run spared this one."""
    return trial.timings.get("fit", 0.0) + trial.timings.get(SPARED, 0.0)


def fold_seconds(session: Session, trial: TrialRecord) -> float:
    """Expected seconds of one more fit of a strategy that ran."""
    return _training(trial) / len(session.plan.folds)


def fit_seconds(session: Session, trial: TrialRecord) -> float:
    """Expected seconds of a fit on all images: that of a fold and a half, and to write it.

    The first fold of a frozen strategy paid for features that are kept by now.
    """
    made = session.history.strategy(trial, session.catalog.classes)
    kept = made.frozen and not adapts_model(made.alignment)
    return (0.5 if kept else 1.5) * fold_seconds(session, trial) + 0.5
