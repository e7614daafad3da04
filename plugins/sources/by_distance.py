"""Sources by their distance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Float, SourceDomain, SourceSelection


@dataclass(frozen=True)
class SourcesByDistance(SourceSelection):
    """The nearer a source lies to the target, the more its images count.

    w = exp(-(d - d_min) / (temperature * d_min)), with d the squared maximum mean discrepancy to
    the target and d_min the least of them. After the distance-weighted combination of sources,
    Mansour, Mohri and Rostamizadeh 2009 (Domain adaptation with multiple sources), whose weights
    follow the densities.
    """

    name = "by-distance"
    excludes = frozenset({"source_unread"})

    temperature: float = Float(0.5, low=0.05, high=2.0, log=True)

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        distances = [max(source.distance, 1e-6) for source in sources]
        nearest = min(distances)
        return [math.exp(-(d - nearest) / (self.temperature * nearest)) for d in distances]
