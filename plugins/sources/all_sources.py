"""Every source alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import SourceDomain, SourceSelection


@dataclass(frozen=True)
class AllSources(SourceSelection):
    """Learn from every source image alike."""

    name = "all-sources"
    requires = frozenset()
    measures = False
    complexity = 0

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        return [1.0 for _ in sources]
