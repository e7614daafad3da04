"""The nearest sources."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Int, SourceDomain, SourceSelection


@dataclass(frozen=True)
class NearestSources(SourceSelection):
    """Learn from the `count` sources whose images lie nearest to the target's, all alike.

    Distance: squared maximum mean discrepancy (Gretton et al. 2012, A kernel two-sample test).
    """

    name = "nearest"
    excludes = frozenset({"source_unread"})

    count: int = Int(1, low=1, high=8)

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        order = sorted(range(len(sources)), key=lambda i: (sources[i].distance, i))
        kept = set(order[: self.count])
        return [float(i in kept) for i in range(len(sources))]
