"""Agreement with the pool."""

from dataclasses import dataclass

from automl_xfer.components import UnlabelledPredictions, Validator


@dataclass(frozen=True)
class PoolAgreement(Validator):
    """Share of the target images on which the trial and the pool's mean predict the same class.

    The pool's mean prediction stands in for the labels, as in EnsV.
    """

    name = "agreement"

    def score(self, predictions: UnlabelledPredictions) -> float:
        same = predictions.target.argmax(1) == predictions.pool.argmax(1)
        return float(same.mean())
