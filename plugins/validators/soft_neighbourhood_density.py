"""Soft neighbourhood density."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import UnlabelledPredictions, Validator

_TEMPERATURE = 0.05
_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class SoftNeighbourhoodDensity(Validator):
    """Mean over the target images of H(softmax over j ≠ i of cos(p_i, p_j)/0.05).

    From 0 to ln(N − 1): high where each image has many others predicted alike. Shown and not
    counted: where we measured, it picked the worst method each time, and a collapse scores best.
    NaN for fewer than two images. Saito et al. 2021, arXiv 2108.10860, on the class probabilities
    p as there.
    """

    name = "soft-neighbourhood-density"
    weight = 0.0

    def score(self, predictions: UnlabelledPredictions) -> float:
        p = predictions.target
        if len(p) < 2:
            return math.nan
        unit = p / np.linalg.norm(p, axis=1, keepdims=True)
        starts = range(0, len(unit), _ROWS_AT_ONCE)
        return float(
            np.concatenate([_entropies(unit, start) for start in starts]).mean(dtype=float)
        )


def _entropies(unit: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    """The entropies of the neighbourhoods of some rows from `start` on."""
    logits = (unit[start : start + _ROWS_AT_ONCE] @ unit.T - 1) / np.float32(_TEMPERATURE)
    weights = np.exp(logits)  # cosines of probabilities are in 0..1: nothing can underflow
    rows = np.arange(len(weights))
    weights[rows, start + rows] = 0
    total = weights.sum(1)
    return np.asarray(np.log(total) - (weights * logits).sum(1) / total)
