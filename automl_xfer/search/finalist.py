"""A finalist: one strategy, its runs, and what their held-out predictions are worth together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.evidence import Scores, calibrated_log_scores
from automl_xfer.search.ensemble import Weights, ensemble_weights
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

    def log_scores(self, session: Session) -> Scores:
        """(N,) mean over the runs of the calibrated log score of each held-out image."""
        runs = (self.trial, *self.repeats)
        scores: Scores = np.mean([_log_scores(session, run) for run in runs], axis=0)
        return scores


def held_out(
    session: Session, finalists: Sequence[Finalist]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Labels (N,), held-out probabilities (finalists, N, K) and rows (N,) that all have."""
    data = session.prepared.data
    assert data.target is not None and data.target.labels is not None
    stack = np.stack([each.probabilities(session) for each in finalists])
    rows = np.flatnonzero(np.isfinite(stack).all(axis=(0, 2)))
    return data.target.labels[rows], stack[:, rows], rows


def weigh(session: Session, finalists: Sequence[Finalist], good: Sequence[int]) -> Weights:
    """(finalists,) weights in one ensemble; see `ensemble_weights` for `good`."""
    labels, stack, rows = held_out(session, finalists)
    log_scores = np.stack([each.log_scores(session)[rows] for each in finalists])

    def fits(chosen: set[int]) -> bool:
        return within_limit(session, [finalists[place].trial for place in chosen])

    return ensemble_weights(labels, stack, log_scores, good, fits)


def _log_scores(session: Session, run: TrialRecord) -> Scores:
    """(N,) calibrated log scores of the held-out images of one run; NaN for the others."""
    if run.id not in session.log_scores:
        target = session.prepared.data.target
        assert target is not None and target.labels is not None
        predictions = read_predictions(session, run)
        scores = np.full(len(target), np.nan)
        truth = target.labels[predictions.rows]
        scores[predictions.rows] = calibrated_log_scores(truth, predictions.probabilities)
        session.log_scores[run.id] = scores
    return session.log_scores[run.id]
