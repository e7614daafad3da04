"""Teachers of a strategy that distils: the best frozen strategies when the trial began."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl_xfer.components import Strategy
from automl_xfer.search.judging import ranked
from automl_xfer.search.session import Session

_TEACHERS = 3

WEIGHT = "weight"
"""Beside the axes of a teacher: its weight in their mean, 1 where it is not said."""


def with_teacher(session: Session, strategy: Strategy) -> Strategy | None:
    """The strategy with the teachers of today written into it; None where there is none yet.

    They are the best frozen strategies, one of each backbone and alignment, up to three.
    """
    if not strategy.regularizer.distils:
        return strategy
    found: dict[tuple[str, str], Strategy] = {}
    for trial in ranked(session, session.complete_trials()):
        teacher = session.history.strategy(trial, session.catalog.classes)
        if teacher.frozen:
            found.setdefault((teacher.backbone.label, teacher.alignment.name), teacher)
    chosen = [teacher.to_dict() for teacher in list(found.values())[:_TEACHERS]]
    return taught_by(strategy, chosen) if chosen else None


def without_teacher(strategy: Strategy) -> Strategy:
    """The strategy as the space draws it."""
    return taught_by(strategy, []) if strategy.regularizer.distils else strategy


def taught_by(strategy: Strategy, teachers: Sequence[Mapping[str, Any]]) -> Strategy:
    """The strategy with other teachers: strategies as data, and under WEIGHT how much each says."""
    text = json.dumps(teachers, sort_keys=True) if teachers else ""
    named = replace(strategy.regularizer, teacher=text)  # type: ignore[call-arg]
    return replace(strategy, regularizer=named)
