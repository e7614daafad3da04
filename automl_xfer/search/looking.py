"""Looking: every backbone in a child process once, before the search; who is left, in order."""

import math

import numpy as np
from scipy.stats import rankdata

from automl_xfer.components import Backbone
from automl_xfer.errors import BackboneUnavailableError, ConfigError
from automl_xfer.search.child import ChildFailure, StopRequested, run_in_child
from automl_xfer.search.deadline import LOOK_SHARE
from automl_xfer.search.look import BackboneLook, LookRequest, look_at_backbone
from automl_xfer.search.session import Session
from automl_xfer.search.warmstart import remember
from automl_xfer.study.records import FailureKind


def look_at_backbones(session: Session) -> None:
    """Load every backbone once; those that cannot be had are left out, with the reason."""
    session.phase("look", f"{len(session.space.backbones)} backbones")
    looks: list[BackboneLook] = []
    missing: dict[str, list[str]] = {}  # reason -> labels
    try:
        for backbone in session.space.backbones:
            alone = backbone.parts == (backbone.label,)
            if backbone.initialisation == "random" or not alone:
                continue
            try:
                looks.append(_look(session, backbone))
            except ChildFailure as failure:
                if failure.kind is FailureKind.TIMEOUT:  # slow is no fault: it only ranks last
                    session.note(f"backbone {backbone.label} was too slow for a first look")
                else:
                    missing.setdefault(str(failure), []).append(backbone.label)
    except StopRequested:
        for reason, labels in missing.items():
            session.note(_missing(labels, reason), warning=True)
        return
    for reason, labels in missing.items():
        for label in labels:
            _without_backbone(session, label, reason)
        # Where none is left, the error has said it.
        session.note(_missing(labels, reason), warning=True)
    session.latency_ms = {look.label: look.latency_ms for look in looks}
    _leave_out_slow(session)
    session.backbone_order = _order(session, mean_ranks(looks))
    session.stage_seconds = {look.label: look.stage_seconds for look in looks}
    _time_untrained(session)
    remember(session, {look.label: look.statistics for look in looks})


def _look(session: Session, backbone: Backbone) -> BackboneLook:
    request = LookRequest(
        backbone=backbone.to_dict(),
        data=session.prepared.data,
        plan=session.plan,
        device=session.device,
        cache_directory=session.cache_directory,
        plugins=session.plugins,
        facts=session.space.facts,
    )
    timeout = session.deadline.left(LOOK_SHARE)
    look: BackboneLook = run_in_child(
        look_at_backbone, request, timeout=timeout, should_stop=session.should_stop
    )
    return look


def mean_ranks(looks: list[BackboneLook]) -> dict[str, float]:
    """Label -> mean rank over the transferability estimators; higher is better."""
    if not looks:
        return {}
    table = np.array([list(look.estimates.values()) for look in looks])
    heard = np.isfinite(table).all(axis=0)
    ranks = rankdata(table[:, heard], axis=0).mean(axis=1) if heard.any() else np.zeros(len(looks))
    return {look.label: float(rank) for look, rank in zip(looks, ranks, strict=True)}


def _leave_out_slow(session: Session) -> None:
    """Take out the backbones that alone need more for an image than the user allows."""
    limit = session.options.max_latency_ms
    if limit is None:
        return
    slow = {}
    for backbone in session.space.backbones:
        parts = [session.latency_ms.get(part, math.inf) for part in backbone.parts]
        if sum(parts) > limit and backbone.initialisation != "random":
            slow[backbone.label] = sum(parts)
    for label, needed in slow.items():
        told = f"{needed:.1f} ms" if math.isfinite(needed) else "an unknown time"
        reason = f"it needs {told} for an image, more than --max-latency-ms {limit:g}"
        if label in {backbone.label for backbone in session.space.backbones}:
            session.note(f"backbone {label} is left out: {reason}")
            _without_backbone(session, label, reason)


def _missing(labels: list[str], reason: str) -> str:
    who = f"backbone {labels[0]} is" if len(labels) == 1 else f"backbones {', '.join(labels)} are"
    return f"{who} left out: {reason}"


def _order(session: Session, scores: dict[str, float]) -> list[str]:
    """Labels, best first; a fusion by the mean of its members, after a single one as good.

    On few images the fusion's own score would be the best of many noisy ones.
    """
    known = [b for b in session.space.backbones if all(part in scores for part in b.parts)]
    known.sort(key=lambda b: (-sum(scores[part] for part in b.parts) / len(b.parts), b.complexity))
    return [backbone.label for backbone in known]


def _time_untrained(session: Session) -> None:
    """An untrained backbone is as fast as the pretrained one of its architecture: the first."""
    speeds = session.stage_seconds
    known = [backbone.label for backbone in session.space.backbones if backbone.label in speeds]
    for backbone in session.space.backbones:
        if known and backbone.initialisation == "random":
            speeds[backbone.label] = speeds[known[0]]


def _without_backbone(session: Session, label: str, reason: str) -> None:
    """Take a backbone and what is made of it out; nothing but untrained ones left is an error."""
    error = BackboneUnavailableError(f"no pretrained backbone is left; the last: {reason}")
    try:
        for backbone in session.space.backbones:
            if label in backbone.parts:
                session.space = session.space.without_backbone(backbone.label)
    except ConfigError:
        raise error from None
    left = session.space.admissible("backbone", session.space.facts).values()
    if all(isinstance(each, Backbone) and each.initialisation == "random" for each in left):
        raise error
