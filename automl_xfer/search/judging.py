"""Judging: which trial is best so far, with and without target labels."""

import json
import math

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.unlabelled import (
    Candidate,
    mean_ranks,
    open_gates,
    pool_of,
    seen_of,
    with_telling_sources,
)
from automl_xfer.report.leaderboard import rank
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord


def best_trial(session: Session) -> TrialRecord | None:
    """The best complete trial so far by the study's signal."""
    complete = session.complete_trials()
    if not complete:
        return None
    return ranked(session, complete)[0]


def log_loss(trial: TrialRecord) -> float:
    """The trial's held-out log-loss; infinite where none is known."""
    return trial.metrics.get("log-loss", math.inf)


def ranked(session: Session, complete: list[TrialRecord]) -> list[TrialRecord]:
    """Complete trials, best first. Ties go to the simpler strategy."""
    if session.has_target_labels:
        return rank(complete)
    return [trial for trial, _ in _by_rank(session, complete)]


def behind_open_gates(session: Session, complete: list[TrialRecord]) -> list[TrialRecord]:
    """Without target labels: the trials that pass the gates, best first."""
    return [trial for trial, value in _by_rank(session, complete) if value >= 0]


def _by_rank(session: Session, complete: list[TrialRecord]) -> list[tuple[TrialRecord, float]]:
    ranks = unlabelled_ranks(session, complete).tolist()
    pairs = list(zip(complete, ranks, strict=True))
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0].complexity, pair[0].id))


def source_only(records: list[TrialRecord]) -> TrialRecord | None:
    """The source-only baseline, if it finished."""
    return next((record for record in records if record.baseline == "source-only"), None)


def _kind(record: TrialRecord) -> tuple[str, str]:
    """Backbone and alignment: of one kind two trials speak in the pool's mean."""
    backbone = json.dumps(record.strategy["backbone"], sort_keys=True)
    return backbone, record.strategy["alignment"]["name"]


def candidate(session: Session, record: TrialRecord) -> Candidate:
    """A trial as the label-free selection sees it."""
    source = session.prepared.data.source
    assert source is not None and source.labels is not None
    predictions = read_predictions(session, record)
    assert predictions.unlabelled is not None
    return Candidate(
        predictions.unlabelled,
        predictions.probabilities,
        source.labels[predictions.rows],
        predictions.learnt_from,
        predictions.mixed,
        predictions.pseudo_target,
    )


def unlabelled_ranks(session: Session, records: list[TrialRecord]) -> NDArray[np.float64]:
    """(records,) mean validator ranks behind the gates; see `evaluation.unlabelled`."""
    candidates = [candidate(session, record) for record in records]
    reference = _reference(session, records)
    return mean_ranks(candidates, session.validators, reference, [_kind(each) for each in records])


def _reference(session: Session, records: list[TrialRecord]) -> Candidate | None:
    known = source_only(records)
    return candidate(session, known) if known is not None else None


def unlabelled_score(session: Session, record: TrialRecord) -> float:
    """The number that the sampler optimises: mean validator score, less 1 behind a closed gate.

    Ranks decide at the end; while the pool grows a rank says nothing lasting about one trial.
    """
    finished = [*session.complete_trials(), record]
    candidates = [candidate(session, each) for each in finished]
    reference = _reference(session, finished)
    open_gate = open_gates(candidates, reference)
    pool = pool_of(candidates, open_gate, [_kind(each) for each in finished])
    seen = seen_of(with_telling_sources(candidates, open_gate)[-1], pool)
    counted = [validator for validator in session.validators if validator.weight > 0]
    scores = np.array([validator.score(seen) for validator in counted])
    heard = np.isfinite(scores)
    weights = np.array([validator.weight for validator in counted])[heard]
    gate = 0.0 if open_gate[-1] else 1.0
    return float(scores[heard] @ weights / weights.sum()) - gate


def uncounted_scores(session: Session, record: TrialRecord) -> dict[str, float]:
    """What the validators say that are shown beside the others and not counted."""
    own = candidate(session, record)
    seen = seen_of(own, own.target)
    uncounted = [validator for validator in session.validators if validator.weight == 0]
    scores = {validator.name: validator.score(seen) for validator in uncounted}
    return {name: value for name, value in scores.items() if np.isfinite(value)}
