"""Teachers of a strategy that distils: the best frozen strategies when the trial began."""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import Strategy
from automl_xfer.search.judging import ranked
from automl_xfer.search.session import Session
from automl_xfer.search.source_use import use_sources
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.gradient import Teacher
from automl_xfer.transfer.parts import Part, TrainingParts

_TEACHERS = 3


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
    return _written(strategy, json.dumps(chosen, sort_keys=True)) if chosen else None


def without_teacher(strategy: Strategy) -> Strategy:
    """The strategy as the space draws it."""
    return _written(strategy, "") if strategy.regularizer.distils else strategy


def _written(strategy: Strategy, teachers: str) -> Strategy:
    named = replace(strategy.regularizer, teacher=teachers)  # type: ignore[call-arg]
    return replace(strategy, regularizer=named)


def teacher_of(
    strategy: Strategy,
    parts: TrainingParts,
    names: tuple[str, ...],
    context: FitContext,
    classes: Mapping[str, Mapping[str, type]],
) -> Teacher | None:
    """The mean prediction of the teachers written into a strategy, fitted on the same images.

    From cached features; each learns from the sources that its own strategy says.
    """
    text = getattr(strategy.regularizer, "teacher", "")
    fitted = []
    for data in json.loads(text) if text else ():
        teacher = Strategy.from_dict(data, classes)
        own, _ = use_sources(teacher, parts, names, context)
        fitted.append(fit(teacher, own, context))

    def mean(part: Part, domain: str) -> NDArray[np.float32]:
        rows = [each.predict(part, from_source=domain == "source") for each in fitted]
        probabilities: NDArray[np.float32] = np.mean(rows, axis=0)
        return probabilities

    return mean if fitted else None
