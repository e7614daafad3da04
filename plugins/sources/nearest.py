"""The nearest source."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import SourceDomain, SourceSelection


@dataclass(frozen=True)
class NearestSource(SourceSelection):
    """Learn from the one source whose images lie nearest to the target's.

    Distance: squared maximum mean discrepancy (Gretton et al. 2012, A kernel two-sample test).
    """

    name = "nearest"
    excludes = frozenset({"source_unread"})

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        nearest = min(range(len(sources)), key=lambda place: (sources[place].distance, place))
        return [float(place == nearest) for place in range(len(sources))]
