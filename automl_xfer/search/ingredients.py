"""Ingredients: fine-tuned trials whose weights have a mean of use, with those that may win."""

import json
from collections.abc import Collection

from automl_xfer.components import FreezingPolicy
from automl_xfer.search.fitting import ingredients_of
from automl_xfer.search.judging import log_loss
from automl_xfer.search.plan import fold_parts
from automl_xfer.search.predictions import has_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.finishing import adapts_backbone
from automl_xfer.transfer.kept_weights import KeptWeights

MOST = 3
"""So many of the best are averaged, no more."""

_ASKED = 6
"""So many of the best of one start are asked for their weights."""

_ALIKE = ("backbone", "alignment", "sources", "head")
"""Models that differ on these axes lie too far apart in their weights."""


def of_one_start(session: Session, finalists: Collection[int]) -> list[list[TrialRecord]]:
    """Groups of two or more that trained from one start, best first; one of each is a finalist.

    None without target labels, by which a soup is judged, or without a component that averages.
    """
    if not session.has_target_labels or averaging_policy(session) is None:
        return []
    groups: dict[str, list[TrialRecord]] = {}
    for trial in sorted(session.complete_trials(), key=log_loss):
        if start := _start(session, trial):
            groups.setdefault(start, []).append(trial)
    return [
        group
        for group in groups.values()
        if len(group) > 1 and any(trial.id in finalists for trial in group)
    ]


def averaging_policy(session: Session) -> type[FreezingPolicy] | None:
    """The freezing policy that averages what others trained, of whichever plugin."""
    policies = session.catalog.classes["freezing"].values()
    found = (made for made in policies if issubclass(made, FreezingPolicy) and made.averages)
    return next(found, None)


def kept_of_one_start(session: Session, finalists: Collection[int]) -> list[TrialRecord]:
    """Those of the first group of which two or more still have their weights, the best first."""
    for group in of_one_start(session, finalists):
        kept = [trial for trial in group[:_ASKED] if is_kept(session, trial)]
        if len(kept) > 1:
            return kept[:MOST]
    return []


def _start(session: Session, trial: TrialRecord) -> str:
    """What trials have in common that train the same model from the same weights.

    Empty for one whose weights have no mean of use, or were not kept when it was first asked for.
    """
    if trial.id not in session.starts:
        strategy = session.history.strategy(trial, session.catalog.classes)
        policy, alignment = strategy.freezing, strategy.alignment
        balanced = policy.head_first and strategy.optimization.balance_classes
        alike = [{axis: trial.strategy[axis] for axis in _ALIKE}, policy.head_first, balanced]
        adds = type(policy).wrap is not FreezingPolicy.wrap
        finishes = adapts_backbone(alignment) and not alignment.finishes_first
        apart = strategy.frozen or adds or finishes or policy.averages
        usable = not apart and is_kept(session, trial)
        session.starts[trial.id] = json.dumps(alike, sort_keys=True) if usable else ""
    return session.starts[trial.id]


def is_kept(session: Session, trial: TrialRecord) -> bool:
    """Whether the weights of every fold of a trial are there, or those that it averages."""
    made = session.history.strategy(trial, session.catalog.classes)
    if made.frozen or not has_predictions(session, trial):
        return False
    context = FitContext(
        session.device,
        trial.seed,
        FeatureCache(session.cache_directory),
        micro_batches=session.micro_batches,
        compiler=session.compiler,
    )
    names, classes = session.prepared.data.source_names, session.catalog.classes
    places = [
        KeptWeights.of(strategy, parts, names, context, classes)
        for strategy in ingredients_of(made, classes) or [made]
        for parts, _ in fold_parts(session.prepared.data, session.plan)
    ]
    return all(kept is not None and kept.exists() for kept in places)
