"""Deadline: one clock for the whole run, and the shares of it that each phase may use."""

import time
from dataclasses import dataclass, field

TRIAL_SHARE = 0.3
"""No trial may take more than this share of the whole time."""

LOOK_SHARE = 0.35
"""After this a backbone that was not looked at yet is left out."""

SEARCH_SHARE = 0.65
"""The search itself may go on this long; finalists, the final fit and the report need the rest."""

LONGEST_SEARCH_SHARE = 0.88
"""And this long where they are predicted to need little."""

SEARCH_SHARE_WITHOUT_LABELS = 0.8

FIT_SHARE = 0.97

TIMES_FITTED, TIMES_REPEATED = 1.5, 3.0
"""What a winner takes after its trial, in trials: a final fit; with two repeats before it."""


@dataclass(frozen=True)
class Deadline:
    """`seconds` from the moment it is made."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def left(self, share: float = 1.0) -> float:
        """Seconds until this share of the time is spent; 0 when it is."""
        return max(0.0, share * self.seconds - self.elapsed)
