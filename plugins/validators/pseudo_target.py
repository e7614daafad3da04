"""Pseudo-target accuracy."""

import math
from dataclasses import dataclass

from automl_xfer.components import UnlabelledPredictions, Validator


@dataclass(frozen=True)
class PseudoTargetAccuracy(Validator):
    """Accuracy on one source that is held out and adapted to as if it were the target.

    Leave-one-domain-out validation, Gulrajani and Lopez-Paz 2020, arXiv 2007.01434, with one domain
    left out rather than each in turn. NaN without a source to hold out.
    """

    name = "pseudo-target"

    def score(self, predictions: UnlabelledPredictions) -> float:
        held_out = predictions.pseudo_target
        if held_out is None or not len(held_out.labels):
            return math.nan
        return held_out.accuracy
