"""Model soup: the mean of the weights that the best strategies of one start have trained."""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from automl_xfer.components import FreezingPolicy, Strategy
from automl_xfer.evaluation.intervals import paired_interval
from automl_xfer.search.child import StopRequested
from automl_xfer.search.cost import fit_seconds
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.finalist import Finalist, held_out
from automl_xfer.search.fitting import ingredients_of
from automl_xfer.search.latency import within_limit
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.plan import fold_parts
from automl_xfer.search.predictions import has_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.records import Role, TrialRecord, TrialState
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.kept_weights import KeptWeights

_SOUP = "model-soup"

_SIZES = (3, 2)
"""So many of the best are averaged; fewer where more are worse than one of them."""

_ALIKE = ("backbone", "alignment", "sources", "head")
"""Models that differ on these axes lie too far apart in their weights to have a mean of use."""

_RESERVE = 1.5
"""A trial that trains nothing may take so many times as long as an ingredient took to predict."""

_START = 2.0
"""Seconds that a process may need to start."""


def try_soup(session: Session) -> None:
    """Score a soup from weights that trials left, as one more trial that trains nothing.

    It then stands for its ingredients if it is no worse than the best of them by log-loss and
    their mean prediction is not better than it beyond the paired interval: one model is faster
    than several. Otherwise it is passed over.
    """
    if not session.has_target_labels or _SOUP not in session.catalog.classes["freezing"]:
        return
    ranking = _best_of_one_start(session)
    with suppress(StopRequested):  # by the user: the search ends without it
        for size in _SIZES:
            if len(ranking) < size:
                continue
            ingredients = ranking[:size]
            soup = _soup(session, ingredients)
            if soup is None:
                continue
            if _stands_for(session, soup, ingredients):
                session.passed_over |= {trial.id for trial in ingredients}
                session.note(_told(soup, ingredients))
                return
            session.passed_over.add(soup.id)


def _best_of_one_start(session: Session) -> list[TrialRecord]:
    """Trials whose weights can be averaged and are kept, best first: of the best one's start."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in sorted(session.complete_trials(), key=_loss):
        strategy = session.history.strategy(trial, session.catalog.classes)
        if strategy.frozen or type(strategy.freezing).wrap is not FreezingPolicy.wrap:
            continue
        if ingredients_of(strategy, session.catalog.classes) or not has_predictions(session, trial):
            continue
        alike = {axis: trial.strategy[axis] for axis in _ALIKE}
        key = json.dumps([alike, strategy.freezing.head_first], sort_keys=True)
        groups.setdefault(key, []).append(trial)
    for group in groups.values():
        if len(group) > 1:
            return [trial for trial in group[: 2 * max(_SIZES)] if _is_kept(session, trial)]
    return []


def _loss(trial: TrialRecord) -> float:
    return trial.metrics.get("log-loss", math.inf)


def _is_kept(session: Session, trial: TrialRecord) -> bool:
    """Whether the weights of every fold are there."""
    strategy = Strategy.from_dict(trial.strategy, session.catalog.classes)
    context = FitContext(session.device, trial.seed, FeatureCache(session.cache_directory))
    names = session.prepared.data.source_names
    folds = [
        KeptWeights.of(strategy, parts, names, context)
        for parts, _ in fold_parts(session.prepared.data, session.plan)
    ]
    return all(kept is not None and kept.exists() for kept in folds)


def _soup(session: Session, ingredients: Sequence[TrialRecord]) -> TrialRecord | None:
    """The finished trial of the soup, run now where an earlier end did not; None without time."""
    best = Strategy.from_dict(ingredients[0].strategy, session.catalog.classes)
    text = json.dumps([trial.strategy for trial in ingredients], sort_keys=True)
    policy = session.catalog.classes["freezing"][_SOUP].from_dict({"ingredients": text})
    assert isinstance(policy, FreezingPolicy)
    strategy = replace(best, freezing=policy)
    for known in session.complete_trials():
        if known.strategy == strategy.to_dict():
            return known
    record = new_record(session, strategy, Role.FINALIST, session.options.seed)
    fits = sum(fit_seconds(session, trial) for trial in ingredients)
    needed = _START + _RESERVE * max(trial.timings.get("predict", 0.0) for trial in ingredients)
    left = session.deadline.left(FIT_SHARE) - fits
    if session.should_stop() or left < needed or not within_limit(session, [record]):
        return None
    done = execute(session, strategy, record, session.plan, left)
    return done if done.state is TrialState.COMPLETE else None


def _stands_for(session: Session, soup: TrialRecord, ingredients: Sequence[TrialRecord]) -> bool:
    if _loss(soup) > min(map(_loss, ingredients)):
        return False
    finalists = [Finalist(trial) for trial in (soup, *ingredients)]
    labels, (own, *others), _ = held_out(session, finalists)
    together = np.mean(others, axis=0)
    return paired_interval(session.plan.metric, labels, together, own)[0] <= 0


def _told(soup: TrialRecord, ingredients: Sequence[TrialRecord]) -> str:
    numbers = ", ".join(str(trial.number) for trial in ingredients)
    return (
        f"The weights of trials {numbers} were averaged into one model, which stands for them: "
        f"its log-loss is {_loss(soup):.3f}, that of the best of them "
        f"{min(map(_loss, ingredients)):.3f}."
    )
