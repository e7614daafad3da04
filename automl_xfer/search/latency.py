"""Latency: what one image costs a winner, as measured on this machine."""

import math
from collections.abc import Sequence

import numpy as np

from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord


def latency_ms(session: Session, trials: Sequence[TrialRecord]) -> float | None:
    """Milliseconds for one image and its mirror image, member after member; None if not known."""
    found = [backbone_latency_ms(session, trial.strategy["backbone"]) for trial in trials]
    known = [each for each in found if each is not None]
    return sum(known) if len(known) == len(found) else None


def backbone_latency_ms(session: Session, backbone: dict[str, object]) -> float | None:
    """Milliseconds of a backbone, given as its data; those of a fusion's members together.

    Infinite for one that is not in the space any more: it may have been too slow. An untrained one
    is as fast as the first that was looked at, whose architecture it has.
    """
    for candidate in session.space.backbones:
        if candidate.to_dict() == backbone:
            first = next(iter(session.latency_ms.values()), None)
            fallback = first if candidate.initialisation == "random" else None
            parts = [session.latency_ms.get(part, fallback) for part in candidate.parts]
            known = [each for each in parts if each is not None]
            return sum(known) if len(known) == len(parts) else None
    return math.inf


def within_limit(session: Session, trials: Sequence[TrialRecord]) -> bool:
    """Whether these together predict an image within --max-latency-ms."""
    limit, needed = session.options.max_latency_ms, latency_ms(session, trials)
    return limit is None or needed is None or needed <= limit


def fastest(session: Session, trials: Sequence[TrialRecord]) -> int:
    """The place of the one of least latency; of equal ones the first."""
    costs = [latency_ms(session, [each]) for each in trials]
    return int(np.argmin([np.inf if cost is None else cost for cost in costs]))
