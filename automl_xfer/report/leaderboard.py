"""The order of trials: shared by the report and the command line."""

import math
from collections.abc import Iterable

from automl_xfer.study.records import TrialRecord, TrialState

_ORDER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAILED)


def finite_score(trial: TrialRecord) -> float | None:
    """The score of a complete trial; None where there is none or it is not a finite number."""
    if trial.state is not TrialState.COMPLETE or trial.score is None:
        return None
    return trial.score if math.isfinite(trial.score) else None


def rank(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Complete trials by score, then pruned, running and failed ones.

    Ties go to the simpler strategy (lower `complexity`), then to the earlier trial.
    """

    def place(trial: TrialRecord) -> tuple[int, float, int, int]:
        score = finite_score(trial)
        lost = math.inf if score is None else -score
        return _ORDER.index(trial.state), lost, trial.complexity, trial.id

    return sorted(trials, key=place)


def leaders(trials: Iterable[TrialRecord], limit: int | None = None) -> list[TrialRecord]:
    """The ranked complete trials, without the finalists' repeats; at most `limit` of them."""
    first_runs = (t for t in trials if t.repeats is None and finite_score(t) is not None)
    return rank(first_runs)[:limit]
