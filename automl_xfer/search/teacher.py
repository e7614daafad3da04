"""The teacher of a strategy that distils: the best frozen strategy when the trial began."""

import json
from collections.abc import Mapping
from dataclasses import replace

from automl_xfer.components import Strategy
from automl_xfer.search.judging import ranked
from automl_xfer.search.session import Session


def with_teacher(session: Session, strategy: Strategy) -> Strategy | None:
    """The strategy with the teacher of today written into it; None where there is none yet.

    A frozen teacher is fitted anew on what each fold may see, from cached features.
    """
    if not strategy.regularizer.distils:
        return strategy
    for trial in ranked(session, session.complete_trials()):
        teacher = Strategy.from_dict(trial.strategy, session.catalog.classes)
        if teacher.frozen:
            named = replace(strategy.regularizer, teacher=teacher.to_json())  # type: ignore[call-arg]
            return replace(strategy, regularizer=named)
    return None


def without_teacher(strategy: Strategy) -> Strategy:
    """The strategy as the space draws it."""
    if not strategy.regularizer.distils:
        return strategy
    plain = replace(strategy.regularizer, teacher="")  # type: ignore[call-arg]
    return replace(strategy, regularizer=plain)


def teacher_of(strategy: Strategy, classes: Mapping[str, Mapping[str, type]]) -> Strategy | None:
    """The teacher written into a strategy."""
    text = getattr(strategy.regularizer, "teacher", "")
    return Strategy.from_dict(json.loads(text), classes) if text else None
