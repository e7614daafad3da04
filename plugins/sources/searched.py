"""Searched source weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Float, SourceDomain, SourceSelection


@dataclass(frozen=True)
class SearchedWeights(SourceSelection):
    """A weight for each source, found by the search; below 0.1 the source is left out.

    `first` is the weight of the nearest by squared maximum mean discrepancy, `second` and `third`
    those of the next, `rest` that of all others.
    """

    name = "searched"
    excludes = frozenset({"source_unread"})
    complexity = 2

    first: float = Float(1.0, low=0.0, high=1.0)
    second: float = Float(1.0, low=0.0, high=1.0)
    third: float = Float(1.0, low=0.0, high=1.0)
    rest: float = Float(1.0, low=0.0, high=1.0)

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        order = sorted(range(len(sources)), key=lambda place: (sources[place].distance, place))
        by_place = [self.first, self.second, self.third]
        weights = [self.rest] * len(sources)
        for source, weight in zip(order, by_place, strict=False):
            weights[source] = weight
        return [weight if weight >= 0.1 else 0.0 for weight in weights]
