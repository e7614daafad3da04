"""Ingredients: fine-tuned trials whose weights have a mean of use, with those that may win."""

import json
from collections.abc import Collection

from automl_xfer.components import FreezingPolicy
from automl_xfer.search.judging import log_loss
from automl_xfer.search.plan import fold_parts
from automl_xfer.search.predictions import has_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.kept_weights import KeptWeights

MOST = 3
"""So many of the best are averaged, no more."""

_ASKED = 6
"""So many of the best of one start are asked for their weights."""

_ALIKE = ("backbone", "alignment", "sources", "head")
"""Models that differ on these axes lie too far apart in their weights."""


def of_one_start(session: Session, finalists: Collection[int]) -> list[list[TrialRecord]]:
    """Groups of two or more that trained from one start, best first; one of each is a finalist."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in sorted(session.complete_trials(), key=log_loss):
        if start := _start(session, trial):
            groups.setdefault(start, []).append(trial)
    return [
        group
        for group in groups.values()
        if len(group) > 1 and any(trial.id in finalists for trial in group)
    ]


def kept_of_one_start(session: Session, finalists: Collection[int]) -> list[TrialRecord]:
    """Those of the first group of which two or more have left their weights, the best first."""
    for group in of_one_start(session, finalists):
        kept = [trial for trial in group[:_ASKED] if is_kept(session, trial)]
        if len(kept) > 1:
            return kept[:MOST]
    return []


def _start(session: Session, trial: TrialRecord) -> str:
    """What trials have in common that train the same model from the same weights; "" for none."""
    if trial.id not in session.starts:
        strategy = session.history.strategy(trial, session.catalog.classes)
        policy = strategy.freezing
        adds = type(policy).wrap is not FreezingPolicy.wrap
        alike = {axis: trial.strategy[axis] for axis in _ALIKE}
        text = json.dumps([alike, policy.head_first], sort_keys=True)
        session.starts[trial.id] = "" if strategy.frozen or adds or policy.averages else text
    return session.starts[trial.id]


def is_kept(session: Session, trial: TrialRecord) -> bool:
    """Whether a trial that trained left the weights of every fold, and its predictions."""
    strategy = session.history.strategy(trial, session.catalog.classes)
    if strategy.frozen or not has_predictions(session, trial):
        return False
    context = FitContext(
        session.device,
        trial.seed,
        FeatureCache(session.cache_directory),
        micro_batches=session.micro_batches,
        compiler=session.compiler,
    )
    names, classes = session.prepared.data.source_names, session.catalog.classes
    folds = [
        KeptWeights.of(strategy, parts, names, context, classes)
        for parts, _ in fold_parts(session.prepared.data, session.plan)
    ]
    return all(kept is not None and kept.exists() for kept in folds)
