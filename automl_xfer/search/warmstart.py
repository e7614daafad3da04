"""Warm start: what proved itself on the nearest data sets of earlier studies is tried early."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from automl_xfer.components import Strategy
from automl_xfer.errors import AutomlXferError
from automl_xfer.report.leaderboard import rank
from automl_xfer.search.feature_statistics import FeatureStatistics
from automl_xfer.search.fitting import ingredients_of
from automl_xfer.search.session import Session
from automl_xfer.study.records import StudyRecord, TrialRecord, TrialState

NEAR = 0.5
"""Farther data sets say nothing: their means lie half a standard deviation apart."""

_STUDIES, _STRATEGIES = 3, 3
_FACT = "features"


def remember(session: Session, statistics: dict[str, FeatureStatistics]) -> None:
    """Keep where this study's target lies, by backbone, for later studies."""
    found = {label: [*each.mean, each.variance] for label, each in statistics.items()}
    facts = session.store.get_study(session.name).facts
    session.store.update_study(session.name, facts={**facts, _FACT: found})


def proven_elsewhere(session: Session) -> Iterator[tuple[Strategy, str]]:
    """(strategy, study) of the best of the nearest earlier studies with the same signal.

    The study is told with its distance, or that it searched the very same images.
    """
    mine = session.store.get_study(session.name)
    for distance, study in _nearest(session):
        told = f"{study.name} (distance {distance:.2f} standard deviations)"
        if study.manifest_hash == mine.manifest_hash:
            told = f"{study.name} (the very same images: its choice adds to this one's luck)"
        for strategy in _best_of(session, study):
            yield strategy, told


def _nearest(session: Session) -> list[tuple[float, StudyRecord]]:
    mine = session.store.get_study(session.name)
    others = [each for each in session.store.list_studies() if each.name != mine.name]
    found = []
    for study in others:
        same = bool(study.facts.get("n_train")) == bool(mine.facts.get("n_train"))
        distance = _distance(mine.facts.get(_FACT), study.facts.get(_FACT))
        if same and study.metric == mine.metric and distance < NEAR:
            found.append((distance, study))
    return sorted(found, key=lambda pair: pair[0])[:_STUDIES]


def _distance(mine: Any, theirs: Any) -> float:
    """Mean over the backbones that both studies looked at; infinite without one."""
    common = (mine or {}).keys() & (theirs or {}).keys()
    pairs = [[_read(side[label]) for side in (mine, theirs)] for label in common]
    distances = [a.distance(b) for a, b in pairs if len(a.mean) == len(b.mean)]
    return float(np.mean(distances)) if distances else float("inf")


def _read(numbers: list[float]) -> FeatureStatistics:
    *mean, variance = numbers
    return FeatureStatistics(tuple(mean), variance)


def _best_of(session: Session, study: StudyRecord) -> Iterator[Strategy]:
    """All of its winner's strategies that fit here; if these are under three, the best others."""
    trials = [
        trial
        for trial in session.store.trials(study.name)
        if trial.state is TrialState.COMPLETE and trial.repeats is None
    ]
    won = (study.result or {}).get("winner", {}).get("trials", [])
    winners = sorted((t for t in trials if t.id in won), key=lambda trial: won.index(trial.id))
    seen: set[str] = set()
    for place, trial in enumerate([*winners, *rank(trials)]):
        if place >= len(winners) and len(seen) >= _STRATEGIES:
            return
        for strategy in _made_here(session, trial):
            if strategy.to_json() not in seen:
                seen.add(strategy.to_json())
                yield strategy


def _made_here(session: Session, trial: TrialRecord) -> list[Strategy]:
    """The strategy, or those that it averages, if no plugin, backbone or fact is missing."""
    classes = session.catalog.classes
    try:
        made = Strategy.from_dict(trial.strategy, classes)
        strategies = ingredients_of(made, classes) or [made]
    except AutomlXferError:
        return []
    fitting = [each for each in strategies if session.space.is_admissible(each)]
    return [each for each in fitting if not each.regularizer.distils]
