"""The validator axis: a score for a trained strategy, with or without target labels."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components.base import Component

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class MixedPredictions:
    """Predictions on mixtures of two target images' features: share * first + (1 - share) * second.

    `first` and `second` are rows of the target predictions.
    """

    probabilities: Probabilities  # (M, K)
    first: NDArray[np.int64]  # (M,)
    second: NDArray[np.int64]  # (M,)
    share: float  # above 0.5


@dataclass(frozen=True)
class PseudoTarget:
    """One source held out as if it were the target: the strategy's predictions, and its labels."""

    probabilities: Probabilities  # (N, K)
    labels: NDArray[np.int64]  # (N,)

    @property
    def accuracy(self) -> float:
        """Share that is right, 0..1; equally likely classes count as one of them by chance."""
        tops = self.probabilities == self.probabilities.max(1, keepdims=True)
        right = tops[np.arange(len(tops)), self.labels] / tops.sum(1)
        return float(right.mean())


@dataclass(frozen=True)
class UnlabelledPredictions:
    """What a validator may look at when the target has no labels. No target label is in here."""

    target: Probabilities  # (N_t, K) on the unlabelled target images
    source: Probabilities  # (N_s, K) on held-out source images
    source_labels: NDArray[np.int64]  # (N_s,)
    pool: Probabilities  # (N_t, K) mean target prediction of all finished trials
    mixed: MixedPredictions | None = None
    pseudo_target: PseudoTarget | None = None  # with two sources or more


@dataclass(frozen=True)
class Validator(Component):
    """Scores predictions without target labels; higher is better."""

    axis: ClassVar[str] = "validator"
    weight: ClassVar[float] = 1.0
    """Its share in the mean over the validators' ranks; 0: shown, and not counted."""

    @abstractmethod
    def score(self, predictions: UnlabelledPredictions) -> float:
        """The score; comparable between the trials of one study only. NaN: nothing to say."""
