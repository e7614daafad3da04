"""Latency: what one image costs a winner, as measured on this machine."""

import math
from collections.abc import Sequence

import numpy as np

from automl_xfer.components import Strategy
from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord
from automl_xfer.transfer.adapting import adapts_model
from automl_xfer.transfer.feature_cache import stages_kept
from automl_xfer.transfer.finishing import finish_key


def latency_ms(session: Session, trials: Sequence[TrialRecord]) -> float | None:
    """Milliseconds for one image and its mirror image, model after model; None if not known.

    Frozen strategies that leave a backbone as it was, or adapt it alike, share it.
    """
    found = {}
    for trial in trials:
        for part, needed in _parts_ms(session, trial.strategy["backbone"]).items():
            found[part, _weights_of(session, trial)] = needed
    known = [each for each in found.values() if each is not None]
    return sum(known) if len(known) == len(found) else None


def _weights_of(session: Session, trial: TrialRecord) -> str:
    """What two trials have in common whose backbones end with the same weights."""
    made = Strategy.from_dict(trial.strategy, session.catalog.classes)
    as_loaded = made.backbone.initialisation == "pretrained"
    adapted = finish_key(made.alignment)
    shares = made.frozen and as_loaded and not adapts_model(made.alignment)
    return f"/{adapted}/{stages_kept(made.head.stages_read)}" if shares else str(trial.id)


def _parts_ms(session: Session, backbone: dict[str, object]) -> dict[str, float | None]:
    """Milliseconds of a backbone, given as its data, or of each member of a fusion.

    Infinite for one that is not in the space any more: it may have been too slow. An untrained one
    is as fast as the first that was looked at, whose architecture it has.
    """
    for candidate in session.space.backbones:
        if candidate.to_dict() == backbone:
            first = next(iter(session.latency_ms.values()), None)
            fallback = first if candidate.initialisation == "random" else None
            return {part: session.latency_ms.get(part, fallback) for part in candidate.parts}
    return {str(backbone): math.inf}


def within_limit(session: Session, trials: Sequence[TrialRecord]) -> bool:
    """Whether these together predict an image within --max-latency-ms."""
    limit = session.options.max_latency_ms
    if limit is None:
        return True
    needed = latency_ms(session, trials)
    return needed is None or needed <= limit


def fastest(session: Session, trials: Sequence[TrialRecord]) -> int:
    """The place of the one of least latency; of equal ones the first."""
    costs = [latency_ms(session, [each]) for each in trials]
    return int(np.argmin([np.inf if cost is None else cost for cost in costs]))
