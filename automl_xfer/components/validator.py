"""The validator axis: a score for a trained strategy, with or without target labels."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components.base import Component

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class UnlabelledPredictions:
    """What a validator may look at when the target has no labels. No target label is in here."""

    target: Probabilities  # (N_t, K) on the unlabelled target images
    source: Probabilities  # (N_s, K) on held-out source images
    source_labels: NDArray[np.int64]  # (N_s,)
    pool: Probabilities  # (N_t, K) mean target prediction of all finished trials


@dataclass(frozen=True)
class Validator(Component):
    """Scores predictions without target labels; higher is better."""

    axis: ClassVar[str] = "validator"

    @abstractmethod
    def score(self, predictions: UnlabelledPredictions) -> float:
        """The score; comparable between the trials of one study only."""
