"""MixVal."""

import math
from dataclasses import dataclass

from automl_xfer.components import UnlabelledPredictions, Validator


@dataclass(frozen=True)
class MixVal(Validator):
    """How often a mixture of two target images is still given the class of the larger part.

    ½ (a + b): a is the share of mixtures predicted like their first image among the pairs whose two
    images are predicted differently, b among those predicted alike; each is 0 when there is no such
    pair, so that predicting a single class brings ½ at most. NaN without mixtures.
    Hu et al. 2023, Mixed samples as probes for unsupervised model selection in domain adaptation,
    NeurIPS. Departures: features are mixed rather than pixels, and a and b are averaged at once.
    """

    name = "mix-val"

    def score(self, predictions: UnlabelledPredictions) -> float:
        mixed = predictions.mixed
        if mixed is None or not len(mixed.first):
            return math.nan
        classes = predictions.target.argmax(1)
        kept = mixed.probabilities.argmax(1) == classes[mixed.first]
        alike = classes[mixed.first] == classes[mixed.second]
        shares = [kept[kind].mean() if kind.any() else 0.0 for kind in (alike, ~alike)]
        return float(sum(shares) / 2)
