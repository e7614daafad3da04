"""Plan: how every strategy of a study is scored, on the same folds for all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from automl_xfer.data.splits import default_folds, holdout, stratified_folds
from automl_xfer.transfer.parts import Part, StudyData, TrainingParts

Kind = Literal["cross-validation", "held-out", "no-target-labels"]
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]

_SOURCE_HOLDOUT = 0.2


@dataclass(frozen=True)
class Plan:
    """Folds over the labelled target images, or over the source where the target has none."""

    kind: Kind
    metric: str
    folds: tuple[Fold, ...]

    def describe(self, n: int) -> str:
        """The selection signal in words, for `n` labelled images."""
        metric = self.metric.replace("-", " ")
        if self.kind == "cross-validation":
            return f"{len(self.folds)}-fold cross-validated {metric} on {n} target images"
        if self.kind == "held-out":
            return f"{metric} on {len(self.folds[0][1])} held-out target images"
        return "agreement of validators without target labels, behind gates on source images"


def make_plan(
    data: StudyData, metric: str, seed: int, validation_rows: NDArray[np.int64] | None = None
) -> Plan:
    """The plan for this data: the user's validation split, folds by size, or a source hold-out."""
    if data.target is None:
        assert data.source is not None and data.source.labels is not None
        strata = data.source.labels
        if data.source_domains is not None:
            strata = strata + data.num_classes * data.source_domains
        return Plan("no-target-labels", metric, (holdout(strata, _SOURCE_HOLDOUT, seed),))
    labels = data.target.labels
    assert labels is not None
    if validation_rows is not None and len(validation_rows):
        rest = np.setdiff1d(np.arange(len(labels)), validation_rows)
        return Plan("held-out", metric, ((rest, validation_rows),))
    folds = stratified_folds(labels, default_folds(labels), seed, groups=data.groups)
    return Plan("held-out" if len(folds) == 1 else "cross-validation", metric, tuple(folds))


def fold_parts(data: StudyData, plan: Plan) -> Iterator[tuple[TrainingParts, Part]]:
    """(what a fold trains on, the labelled images it is scored on), fold by fold."""
    for train, held_out in plan.folds:
        if data.target is None:
            source = data.source_part
            assert source is not None
            yield training_parts(data, source_rows=train), source.take(held_out)
        else:
            target = Part.whole(data.target)
            yield training_parts(data, target_rows=train), target.take(held_out)


def training_parts(
    data: StudyData,
    target_rows: NDArray[np.int64] | None = None,
    source_rows: NDArray[np.int64] | None = None,
) -> TrainingParts:
    """Training parts with these rows of target and source; None: all rows."""
    target = None
    drawn: tuple[Part, ...] = ()
    every: tuple[Part, ...] = ()
    bare: tuple[Part, ...] = ()
    if data.target is not None:
        whole = Part.whole(data.target)
        target = whole if target_rows is None else whole.take(target_rows)
        drawn, every = (target.without_labels(),), (whole.without_labels(),)
    if data.unlabelled is not None:
        bare = (Part.whole(data.unlabelled).without_labels(),)
    source = data.source_part
    if source is not None and source_rows is not None:
        source = source.take(source_rows)
    return TrainingParts(data.num_classes, target, source, drawn + bare, every + bare)
