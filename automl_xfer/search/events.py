"""What a running search tells whoever watches it: the live view, plain lines, a notebook."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from automl_xfer.study.records import TrialRecord


@dataclass(frozen=True)
class PhaseStarted:
    """A new phase began: look, baselines, search, finalists, final fit, report."""

    phase: str
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """So many of `total` images were read; told for every image."""

    done: int
    total: int


@dataclass(frozen=True)
class TrialStarted:
    """A strategy is about to be trained."""

    number: int | None
    description: str


@dataclass(frozen=True)
class TrialFinished:
    """A trial ended, well or not. `best` is the best complete trial so far."""

    record: TrialRecord
    best: TrialRecord | None
    best_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Note:
    """Something a person should read. `warning` marks what they may have to act on."""

    message: str
    warning: bool = False


Event = PhaseStarted | Progress | TrialStarted | TrialFinished | Note
Listener = Callable[[Event], None]

logger = logging.getLogger(__name__)


def guarded(listener: Listener) -> Listener:
    """The same listener; when it fails that is logged, as a broken watcher must stop no search."""

    def tell(event: Event) -> None:
        try:
            listener(event)
        except Exception:
            logger.warning("a listener failed at %s", event, exc_info=True)

    return tell
