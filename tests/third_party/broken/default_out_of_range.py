"""Broken on purpose: the default is above the range."""

from dataclasses import dataclass

from automl_xfer import hookimpl
from automl_xfer.components import Float, UnlabelledPredictions, Validator


@dataclass(frozen=True)
class Sure(Validator):
    """Share of target images whose predicted class is surer than a threshold."""

    name = "sure"

    threshold: float = Float(1.5, low=0.5, high=1.0)

    def score(self, predictions: UnlabelledPredictions) -> float:
        return float((predictions.target.max(axis=1) > self.threshold).mean())


@hookimpl
def register_validators() -> list[type[Validator]]:
    return [Sure]
