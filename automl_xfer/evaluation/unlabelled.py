"""Choosing without target labels: gates, then validators by mean rank.

No target label can reach this module: it sees predictions on unlabelled target images and on
held-out source images only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from automl_xfer.components import (
    MixedPredictions,
    PseudoTarget,
    UnlabelledPredictions,
    Validator,
)

SOURCE_TOLERANCE = 0.10
"""A candidate may lose this much held-out source accuracy against the best one."""

COLLAPSE_SHARE = 0.25
"""A class may shrink to this share of its part in the source-only predictions or the source."""


@dataclass(frozen=True)
class Candidate:
    """One finished trial as the selection sees it."""

    target: NDArray[np.float32]  # (N_t, K)
    source: NDArray[np.float32]  # (N_s, K)
    source_labels: NDArray[np.int64]  # (N_s,)
    learnt_from: NDArray[np.bool_] | None = None  # (N_s,) False: of a source that it leaves out
    mixed: MixedPredictions | None = None
    pseudo_target: PseudoTarget | None = None

    def source_accuracy(self, rows: NDArray[np.bool_] | None = None) -> float:
        """Accuracy on held-out source images, of all or those where `rows` (N_s,) is true."""
        right = self.source.argmax(1) == self.source_labels
        return float(np.mean(right if rows is None else right[rows]))


def collapsed(candidate: Candidate, reference: Candidate) -> bool:
    """Whether a class that source-only predicts has all but vanished from the predictions.

    What source-only predicts more often than the source has the class is its own collapse: no
    more than the class's share of the source is asked for.
    """
    k = candidate.target.shape[1]
    ours = np.bincount(candidate.target.argmax(1), minlength=k)
    theirs = np.bincount(reference.target.argmax(1), minlength=k)
    shares = np.bincount(reference.source_labels, minlength=k) / len(reference.source_labels)
    expected = shares * len(candidate.target)
    return bool(np.any(ours < COLLAPSE_SHARE * np.minimum(theirs, expected) - 1))


def passes_gates(
    candidate: Candidate, reference: Candidate, candidates: Sequence[Candidate]
) -> bool:
    """Whether held-out source accuracy holds and no class collapsed against source-only.

    Accuracy is compared with the best of `candidates` on the sources that the candidate learns
    from: to leave out a harmful one is no fault. To learn from a harmful one alone is: on its own
    sources a candidate must do at least half as well as the others do on theirs.
    """
    rows = _learnt(candidate)
    own = candidate.source_accuracy(rows)
    kept = own >= max(each.source_accuracy(rows) for each in candidates) - SOURCE_TOLERANCE
    sound = own >= 0.5 * max(each.source_accuracy(_learnt(each)) for each in candidates)
    return kept and sound and not collapsed(candidate, reference)


def _learnt(candidate: Candidate) -> NDArray[np.bool_] | None:
    """The rows of the sources that it learns from; None for all."""
    rows = candidate.learnt_from
    return rows if rows is not None and rows.any() else None


def validator_scores(
    candidates: Sequence[Candidate],
    validators: Sequence[Validator],
    in_pool: Sequence[bool] | None = None,
) -> NDArray[np.float64]:
    """(candidates, validators) scores; the pool is the mean prediction of those `in_pool`."""
    speaks = in_pool or [True] * len(candidates)
    pool = np.mean([c.target for c, voice in zip(candidates, speaks, strict=True) if voice], axis=0)
    return np.array(
        [[validator.score(seen_of(c, pool)) for validator in validators] for c in candidates]
    )


def seen_of(candidate: Candidate, pool: NDArray[np.float32]) -> UnlabelledPredictions:
    """What a validator may look at of one candidate."""
    return UnlabelledPredictions(
        candidate.target,
        candidate.source,
        candidate.source_labels,
        pool,
        candidate.mixed,
        candidate.pseudo_target,
    )


def mean_ranks(
    candidates: Sequence[Candidate],
    validators: Sequence[Validator],
    reference: Candidate,
    in_pool: Sequence[bool] | None = None,
) -> NDArray[np.float64]:
    """(candidates,) weighted mean rank share in 0..1 over the validators, 1 is best.

    It is -1 behind a gate. What is behind a gate has no voice in the pool, unless all are, and
    silences nobody. A validator that has nothing to say of some other candidate is not heard.
    """
    open_gate = [passes_gates(c, reference, candidates) for c in candidates]
    speaks = [a and b for a, b in zip(open_gate, in_pool or open_gate, strict=True)]
    counted = [validator for validator in validators if validator.weight > 0]
    scores = validator_scores(candidates, counted, speaks if any(speaks) else None)
    ranked = np.array(open_gate if any(open_gate) else [True] * len(candidates))
    heard = np.isfinite(scores[ranked]).all(axis=0)
    weights = np.array([validator.weight for validator in counted])[heard]
    ranks = np.full(len(candidates), -1.0)
    own = rankdata(scores[ranked][:, heard], axis=0) @ weights
    ranks[ranked] = own / (weights.sum() * ranked.sum())
    return np.where(open_gate, ranks, -1.0)
