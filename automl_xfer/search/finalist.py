"""A finalist: one strategy, its runs, and what their held-out predictions are worth together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.evidence import Scores
from automl_xfer.evaluation.intervals import paired_interval
from automl_xfer.evaluation.metrics import image_counts, log_scores
from automl_xfer.search.ensemble import Weights, alone_if_as_good, ensemble_weights
from automl_xfer.search.latency import within_limit
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord


@dataclass(frozen=True)
class Finalist:
    """One strategy with its own trial and the repeats that finished."""

    trial: TrialRecord
    repeats: tuple[TrialRecord, ...] = ()

    @property
    def seed_scores(self) -> list[float]:
        """Scores of the repeats; of the trial itself where there is none.

        The trial's own score is left out: it is the one that made it a finalist, by merit or luck.
        """
        runs = self.repeats or (self.trial,)
        return [run.score for run in runs if run.score is not None]

    @property
    def score(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.seed_scores))

    def probabilities(self, session: Session) -> NDArray[np.float32]:
        """(N, K) held-out probabilities of the trial; NaN rows were never held out.

        Of one seed, as the model that is delivered: a mean over seeds would score better than it.
        """
        data = session.prepared.data
        rows = np.full((len(data.target or ()), data.num_classes), np.nan, np.float32)
        predictions = read_predictions(session, self.trial)
        rows[predictions.rows] = predictions.probabilities
        return rows

    def scores(self, session: Session) -> Scores:
        """(N,) mean log score of each held-out image over the repeats that held it out.

        The trial's own where none did: see `seed_scores`.
        """
        own, *repeated = (
            log_scores(given_to_labels(session, run)) for run in (self.trial, *self.repeats)
        )
        if not repeated:
            return own
        held_out = np.isfinite(repeated)
        total, runs = np.where(held_out, repeated, 0.0).sum(0), held_out.sum(0)
        return np.where(runs, total / np.maximum(runs, 1), own)


def held_out(
    session: Session, finalists: Sequence[Finalist]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Labels (N,), held-out probabilities (finalists, N, K) and rows (N,) that all have."""
    data = session.prepared.data
    assert data.target is not None and data.target.labels is not None
    stack = np.stack([each.probabilities(session) for each in finalists])
    rows = np.flatnonzero(np.isfinite(stack).all(axis=(0, 2)))
    return data.target.labels[rows], stack[:, rows], rows


def weigh(
    session: Session, finalists: Sequence[Finalist], good: Sequence[int], *, final: bool = False
) -> Weights:
    """(finalists,) weights in one ensemble; see `ensemble_weights` for `good`.

    For a metric to which classes count alike, their images do so together. At the end (`final`)
    one that is as good as all together wins alone.
    """
    of_label = np.stack([given_to_labels(session, each.trial) for each in finalists])
    rows = np.flatnonzero(np.isfinite(of_label).all(axis=0))
    scores = np.stack([each.scores(session)[rows] for each in finalists])

    def fits(chosen: set[int]) -> bool:
        return within_limit(session, [finalists[place].trial for place in chosen])

    target = session.prepared.data.target
    assert target is not None and target.labels is not None
    counts = image_counts(session.plan.metric, target.labels[rows])
    weights = ensemble_weights(of_label[:, rows], scores, good, fits, counts)
    return alone_if_as_good(weights, of_label[:, rows], good, counts) if final else weights


def log_score(session: Session, finalists: Sequence[tuple[Finalist, float]]) -> float:
    """Mean log score of the weighted finalists together, each image counting as the metric says."""
    labels, stack, _ = held_out(session, [each for each, _ in finalists])
    weights = np.array([weight for _, weight in finalists], np.float32)
    given = np.tensordot(weights, stack[:, np.arange(len(labels)), labels], axes=1)
    return float((log_scores(given) * image_counts(session.plan.metric, labels)).mean())


def beats(session: Session, together: Sequence[tuple[Finalist, float]], other: Finalist) -> bool:
    """Whether weighted finalists are better than another beyond the paired interval."""
    finalists, weights = zip(*together, strict=True)
    labels, (theirs, *stack), _ = held_out(session, [other, *finalists])
    ours = np.average(stack, axis=0, weights=weights).astype(np.float32)
    return paired_interval(session.plan.metric, labels, ours, theirs)[0] > 0


def given_to_labels(session: Session, run: TrialRecord) -> NDArray[np.float32]:
    """(N,) probability that a run gave each held-out image's label; NaN for the others."""
    if run.id not in session.given_to_labels:
        target = session.prepared.data.target
        assert target is not None and target.labels is not None
        predictions = read_predictions(session, run)
        given = np.full(len(target.labels), np.nan, np.float32)
        rows, labels = predictions.rows, target.labels[predictions.rows]
        given[rows] = predictions.probabilities[np.arange(len(rows)), labels]
        session.given_to_labels[run.id] = given
    return session.given_to_labels[run.id]
