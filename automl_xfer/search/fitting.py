"""Fitting: a strategy on given parts with its sources and its teacher, trained once at most."""

import json
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import Strategy
from automl_xfer.search.source_use import SourceUse, use_sources
from automl_xfer.search.teacher import WEIGHT
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.fit import FittedStrategy, fit
from automl_xfer.transfer.gradient import EpochCallback, Teacher
from automl_xfer.transfer.kept_weights import Classes, KeptWeights, averaged
from automl_xfer.transfer.parts import Part, TrainingParts


@dataclass(frozen=True)
class Fit:
    """A fitted strategy, the parts that it was fitted on, and how it used the sources."""

    fitted: FittedStrategy
    parts: TrainingParts
    uses: tuple[SourceUse, ...]


def fit_strategy(
    strategy: Strategy,
    parts: TrainingParts,
    names: tuple[str, ...],
    context: FitContext,
    classes: Classes,
    on_epoch: EpochCallback | None = None,
) -> Fit:
    """Train `strategy` on `parts`, whose sources are called `names`, or read what was trained.

    One that averages the weights of others fits these. See `fit` for `on_epoch` and what is raised.
    """
    used, uses = use_sources(strategy, parts, names, context)
    if ingredients := ingredients_of(strategy, classes):
        fits = [fit_strategy(each, parts, names, context, classes) for each in ingredients]
        return Fit(averaged([each.fitted for each in fits]), used, uses)
    kept = KeptWeights.of(strategy, parts, names, context, classes)
    fitted = kept.read(strategy, used, context) if kept is not None else None
    if fitted is None:
        started = perf_counter()
        teacher, spared = teacher_of(strategy, parts, names, context, classes)
        fitted = fit(strategy, used, context, on_epoch, teacher)
        fitted.spared = spared
        if kept is not None:
            seconds = perf_counter() - started + spared
            kept.write(fitted, strategy, used, context, seconds)
    return Fit(fitted, used, uses)


def teacher_of(
    strategy: Strategy,
    parts: TrainingParts,
    names: tuple[str, ...],
    context: FitContext,
    classes: Classes,
) -> tuple[Teacher | None, float]:
    """The mean prediction of the teachers written into a strategy, fitted on the same images.

    Each learns from the sources that its own strategy says. Beside it the seconds of training that
    were not spent on the teachers, as their weights were kept.
    """
    text = getattr(strategy.regularizer, "teacher", "")
    listed = json.loads(text) if text else []
    weights = [data.pop(WEIGHT, 1.0) for data in listed]
    teachers = [Strategy.from_dict(data, classes) for data in listed]
    fitted = [fit_strategy(each, parts, names, context, classes).fitted for each in teachers]

    def mean(part: Part, domain: str) -> NDArray[np.float32]:
        rows = [each.predict(part, from_source=domain == "source") for each in fitted]
        probabilities = np.average(rows, axis=0, weights=weights)
        return probabilities.astype(np.float32)

    return (mean if fitted else None), sum(each.spared for each in fitted)


def ingredients_of(strategy: Strategy, classes: Classes) -> list[Strategy]:
    """The strategies whose trained weights this one averages; none for all others."""
    text = getattr(strategy.freezing, "ingredients", "") if strategy.freezing.averages else ""
    return [Strategy.from_dict(data, classes) for data in json.loads(text)] if text else []
