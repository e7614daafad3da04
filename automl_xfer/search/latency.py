"""Latency: what one image costs a winner, as measured on this machine."""

from collections.abc import Sequence

import numpy as np

from automl_xfer.search.finalists import Finalist
from automl_xfer.search.session import Session


def latency_ms(session: Session, finalists: Sequence[Finalist]) -> float | None:
    """Milliseconds for one image and its mirror image, member after member; None if not known."""
    found = [backbone_latency_ms(session, each.trial.strategy["backbone"]) for each in finalists]
    known = [each for each in found if each is not None]
    return sum(known) if len(known) == len(found) else None


def backbone_latency_ms(session: Session, backbone: dict[str, object]) -> float | None:
    """Milliseconds of a backbone, given as its data; those of a fusion's members together."""
    for candidate in session.space.backbones:
        if candidate.to_dict() == backbone:
            parts = [session.latency_ms.get(part) for part in candidate.parts]
            known = [each for each in parts if each is not None]
            return sum(known) if len(known) == len(parts) else None
    return None


def within_limit(session: Session, finalists: Sequence[Finalist]) -> bool:
    """Whether these together predict an image within --max-latency-ms."""
    limit, needed = session.options.max_latency_ms, latency_ms(session, finalists)
    return limit is None or needed is None or needed <= limit


def fastest(session: Session, finalists: Sequence[Finalist]) -> Finalist:
    """The one of least latency; of equal ones the first."""
    costs = [latency_ms(session, [each]) for each in finalists]
    known = [np.inf if cost is None else cost for cost in costs]
    return finalists[int(np.argmin(known))]
