"""Sources by their distance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Float, SourceDomain, SourceSelection

from .distances import above_noise


@dataclass(frozen=True)
class SourcesByDistance(SourceSelection):
    """The nearer a source lies to the target, the more its images count.

    w = exp(-(d - d_min) / (temperature * d_min)), with d the squared maximum mean discrepancy to
    the target, at least 0.005 (chance), and d_min the least of them; below 0.01 it is 0. After the
    distance-weighted combination of sources, Mansour, Mohri and Rostamizadeh 2009 (Domain
    adaptation with multiple sources), whose weights follow the densities.
    """

    name = "by-distance"
    excludes = frozenset({"source_unread"})

    temperature: float = Float(0.5, low=0.05, high=2.0, log=True)

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        distances = above_noise(sources)
        nearest = min(distances)
        weights = [math.exp(-(d - nearest) / (self.temperature * nearest)) for d in distances]
        return [weight if weight >= 0.01 else 0.0 for weight in weights]
