"""Where a data set lies among others, in a few numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NUMBERS = 64


@dataclass(frozen=True)
class FeatureStatistics:
    """Where a data set lies in a backbone's features: a random projection of their mean.

    `mean` are 64 numbers whose squared distances are those of the (D,) means, give or take a
    sixth (Johnson and Lindenstrauss); `variance` is the features' total variance.
    """

    mean: tuple[float, ...]
    variance: float

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> "FeatureStatistics":
        """Of features (N, D)."""
        projection = np.random.default_rng(0).standard_normal((features.shape[1], _NUMBERS))
        mean = features.mean(0) @ projection / np.sqrt(_NUMBERS)
        return cls(tuple(mean.tolist()), float(features.var(0).sum()))

    def distance(self, other: "FeatureStatistics") -> float:
        """Distance of the means in standard deviations of the features."""
        spread = (self.variance + other.variance) / 2
        gap = np.square(np.subtract(self.mean, other.mean)).sum()
        return float(np.sqrt(gap / max(spread, 1e-12)))
