"""Choosing without target labels: gates, then validators by mean rank.

No target label can reach this module: it sees predictions on unlabelled target images and on
held-out source images only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from automl_xfer.components import UnlabelledPredictions, Validator

SOURCE_TOLERANCE = 0.10
"""A candidate may lose this much held-out source accuracy against the best one."""

COLLAPSE_SHARE = 0.25
"""A class may shrink to this share of its part in the source-only predictions."""


@dataclass(frozen=True)
class Candidate:
    """One finished trial as the selection sees it."""

    target: NDArray[np.float32]  # (N_t, K)
    source: NDArray[np.float32]  # (N_s, K)
    source_labels: NDArray[np.int64]  # (N_s,)

    @property
    def source_accuracy(self) -> float:
        """Accuracy on held-out source images."""
        return float(np.mean(self.source.argmax(1) == self.source_labels))


def collapsed(candidate: Candidate, reference: Candidate) -> bool:
    """Whether a class that source-only predicts has all but vanished from the predictions."""
    k = candidate.target.shape[1]
    ours = np.bincount(candidate.target.argmax(1), minlength=k)
    theirs = np.bincount(reference.target.argmax(1), minlength=k)
    return bool(np.any(ours < COLLAPSE_SHARE * theirs - 1))


def passes_gates(candidate: Candidate, reference: Candidate, best_source: float) -> bool:
    """Whether held-out source accuracy holds and no class collapsed against source-only."""
    kept = candidate.source_accuracy >= best_source - SOURCE_TOLERANCE
    return kept and not collapsed(candidate, reference)


def validator_scores(
    candidates: Sequence[Candidate],
    validators: Sequence[Validator],
    in_pool: Sequence[bool] | None = None,
) -> NDArray[np.float64]:
    """(candidates, validators) scores; the pool is the mean prediction of those `in_pool`."""
    speaks = in_pool or [True] * len(candidates)
    pool = np.mean([c.target for c, voice in zip(candidates, speaks, strict=True) if voice], axis=0)
    return np.array(
        [
            [
                validator.score(UnlabelledPredictions(c.target, c.source, c.source_labels, pool))
                for validator in validators
            ]
            for c in candidates
        ]
    )


def mean_ranks(
    candidates: Sequence[Candidate],
    validators: Sequence[Validator],
    reference: Candidate,
    in_pool: Sequence[bool] | None = None,
) -> NDArray[np.float64]:
    """(candidates,) mean rank share in 0..1 over the validators, 1 is best; -1 behind a gate.

    What is behind a gate has no voice in the pool, unless all are.
    """
    best_source = max(candidate.source_accuracy for candidate in candidates)
    open_gate = [passes_gates(c, reference, best_source) for c in candidates]
    speaks = [a and b for a, b in zip(open_gate, in_pool or open_gate, strict=True)]
    scores = validator_scores(candidates, validators, speaks if any(speaks) else None)
    ranks = rankdata(scores, axis=0).mean(axis=1) / len(candidates)
    return np.where(open_gate, ranks, -1.0)
