"""The sources axis: which source domains to learn from, and how much each counts."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class SourceDomain:
    """What is known of one source before training, from frozen features."""

    name: str
    images: int
    distance: float
    """Squared maximum mean discrepancy to the target's images, 0 for the same distribution."""
    consistency: float
    """Leave-one-out nearest-neighbour accuracy within the source, 0..1; chance for noise labels."""
    agreement: float | None
    """Accuracy 0..1 on the labelled target images of their nearest neighbour in this source; where
    the target has no labels, on the other sources' images; None where there are neither."""


@dataclass(frozen=True)
class SourceSelection(Component):
    """Weighs the source domains. The space draws this axis where there are two or more."""

    axis: ClassVar[str] = "sources"
    requires: ClassVar[frozenset[str]] = frozenset({"two_sources"})
    measures: ClassVar[bool] = True
    """Whether `weights` looks at more than name and number of images; measuring takes seconds."""

    @abstractmethod
    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> Sequence[float]:
        """A weight of at least 0 for an image of each source; 0 leaves the source out.

        Only their ratios count. All 0 is taken for all equal.
        """
