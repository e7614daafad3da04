"""The sources that can be trusted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Float, SourceDomain, SourceSelection

from .distances import above_noise

_TELLING = 0.2
"""Where no source does better than this share of what lies above chance, nothing is told apart."""


@dataclass(frozen=True)
class TrustedSources(SourceSelection):
    """Leave out a source whose labels are noise, or mean something else than the target's.

    A source stays while its consistency (do neighbours bear one label?) and its agreement (do its
    labels hold on the labelled target images, or on the other sources' where there are none?)
    rise above chance by `least` of what the best source does, and while it lies at most `farthest`
    times as far from the target as the nearest such source; half of that where no source's labels
    hold on another, as at most one of them can then mean what the target's do. Those that stay
    count alike. Leaving harmful sources out before transfer: Rosenstein et al. 2005 (To transfer or
    not to transfer); the rules are our own.
    """

    name = "trusted"
    excludes = frozenset({"source_unread"})

    least: float = Float(0.4, low=0.1, high=0.9)
    farthest: float = Float(3.0, low=1.2, high=10.0, log=True)

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> list[float]:
        consistent = self._stays([source.consistency for source in sources], num_classes)
        agreeing = self._stays([source.agreement for source in sources], num_classes)
        sound = [a and b for a, b in zip(consistent, agreeing, strict=True)]
        distances = above_noise(sources)
        near = [distance for distance, stays in zip(distances, sound, strict=True) if stays]
        told = [each for each in (source.agreement for source in sources) if each is not None]
        contradict = bool(told) and not self._tells(told, num_classes)
        times = self.farthest / 2 if contradict else self.farthest
        limit = max(times, 1.0) * min(near, default=math.inf)
        return [
            float(stays and distance <= limit)
            for distance, stays in zip(distances, sound, strict=True)
        ]

    def _stays(self, measured: Sequence[float | None], num_classes: int) -> list[bool]:
        chance = 1 / num_classes
        gains = [None if value is None else max(value - chance, 0.0) for value in measured]
        best = max((gain for gain in gains if gain is not None), default=0.0)
        if not self._tells([value for value in measured if value is not None], num_classes):
            return [True] * len(gains)
        return [gain is None or gain >= self.least * best for gain in gains]

    @staticmethod
    def _tells(measured: Sequence[float], num_classes: int) -> bool:
        """Whether the best is far enough above chance to hold the others against it."""
        chance = 1 / num_classes
        return max(measured, default=0.0) - chance >= _TELLING * (1 - chance)
