"""One trial, as run in its own process: train the strategy on every fold and keep predictions."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import Strategy
from automl_xfer.evaluation.metrics import all_scores, log_scores, mean_log_loss, score
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import Channel
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.search.memory import forget_peak_memory, peak_memory_mb
from automl_xfer.search.plan import Plan, fold_parts
from automl_xfer.search.source_use import NEAR_ZERO, SourceUse
from automl_xfer.search.unlabelled_outputs import mixed_predictions, pseudo_target
from automl_xfer.study.records import SPARED
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import FittedStrategy
from automl_xfer.transfer.frozen_features import MIRROR_LIMIT
from automl_xfer.transfer.gradient import EpochCallback, NonFiniteLossError
from automl_xfer.transfer.model import TransferModel
from automl_xfer.transfer.parts import Part, StudyData, TrainingParts
from automl_xfer.transfer.predicting import predict_probabilities


@dataclass(frozen=True)
class TrialRequest:
    """Everything a trial's process needs; plain data and paths, cheap to send."""

    strategy: dict[str, dict[str, Any]]
    data: StudyData
    plan: Plan
    seed: int
    device: str
    cache_directory: Path
    predictions_path: Path
    plugins: PluginSource
    micro_batches: int = 1
    compiler: str | None = None
    began: datetime = field(default_factory=partial(datetime.now, UTC))


@dataclass(frozen=True)
class TrialStep:
    """The score of a fold, or of an epoch of the only fold, and what became of its images (N,)."""

    step: int
    score: float
    whole: bool  # the training of this fold is over
    rows: NDArray[np.int64]
    correct: NDArray[np.bool_]
    log_scores: NDArray[np.float64]


@dataclass(frozen=True)
class TrialOutcome:
    """What a finished trial found. `pruned` trials stopped after fewer folds."""

    steps: tuple[float, ...]
    score: float | None
    metrics: dict[str, float]
    timings: dict[str, float]
    peak_memory_mb: float
    pruned: bool
    micro_batches: int = 1  # that training steps had to be cut into


def run_trial(request: TrialRequest, channel: Channel) -> TrialOutcome:
    """Train on every fold; ask the parent after each whether to go on."""
    started = perf_counter()
    forget_peak_memory()
    classes = request.plugins.catalog().classes
    strategy = Strategy.from_dict(request.strategy, classes)
    context = FitContext(
        request.device,
        request.seed,
        FeatureCache(request.cache_directory),
        micro_batches=request.micro_batches,
        compiler=request.compiler,
    )
    run = _Run(request, strategy, classes, context, channel)
    with suppress(_PrunedError):
        for parts, held_out in fold_parts(request.data, request.plan):
            run.fold(parts, held_out)
        run.pruned = False
    metrics = run.save()
    total = perf_counter() - started
    load = total - sum(run.timings.values()) - run.waited
    timings = {**run.timings, "load": load, "total": total}
    if run.spared:
        timings[SPARED] = run.spared
    value = metrics.get(request.plan.metric)
    return TrialOutcome(
        tuple(run.scores),
        value,
        metrics,
        timings,
        peak_memory_mb(),
        run.pruned,
        run.context.micro_batches,
    )


class _PrunedError(Exception):
    """The parent wants no more of this trial."""


class _Run:
    """Collects predictions and scores over the folds of one trial."""

    def __init__(
        self,
        request: TrialRequest,
        strategy: Strategy,
        classes: Mapping[str, Mapping[str, type]],
        context: FitContext,
        channel: Channel,
    ) -> None:
        self.request, self.strategy, self.classes = request, strategy, classes
        self.context, self.channel = context, channel
        self.pruned = True  # until the last fold is done
        self.scores: list[float] = []
        self.timings = {"fit": 0.0, "predict": 0.0}
        self.spared = 0.0  # seconds of training that was not done again
        self.waited = 0.0  # seconds for the parent's answers
        self.folds: dict[int, tuple[Part, NDArray[np.float32]]] = {}  # fold -> last predictions
        self.outputs: dict[str, NDArray[Any]] = {}  # what validators read, beside held-out rows

    def fold(self, parts: TrainingParts, held_out: Part) -> None:
        """Train and score one fold. Raises _PrunedError if the parent wants to stop."""
        fold = len(self.folds)
        started, waited = perf_counter(), self.waited
        names = self.request.data.source_names
        callback = self._epoch_callback(held_out)
        done = fit_strategy(self.strategy, parts, names, self.context, self.classes, callback)
        fitted = done.fitted
        self.context = replace(self.context, micro_batches=fitted.micro_batches)
        self.spared += fitted.spared
        self.timings["fit"] += perf_counter() - started - (self.waited - waited)
        started = perf_counter()
        without_labels = self.request.data.target is None
        probabilities = fitted.predict(held_out, from_source=without_labels)
        if without_labels:
            self._keep_outputs(fitted, parts, held_out, done.uses)
        self.timings["predict"] += perf_counter() - started
        is_last = fold == len(self.request.plan.folds) - 1
        self._report(fold, held_out, probabilities, whole=True, is_last=is_last)

    def _keep_outputs(
        self,
        fitted: FittedStrategy,
        parts: TrainingParts,
        held_out: Part,
        uses: tuple[SourceUse, ...],
    ) -> None:
        """What choosing without target labels reads: no target label is in it."""
        (target,) = parts.unlabelled
        mixed = mixed_predictions(fitted, target)
        self.outputs = {
            "unlabelled": fitted.predict(target),
            "mixed": mixed.probabilities,
            "mixed_pairs": np.stack([mixed.first, mixed.second]),
            "mixed_share": np.array(mixed.share),
        }
        if not all(np.isfinite(array).all() for array in self.outputs.values()):
            raise NonFiniteLossError("the trained model predicts NaN on the target")
        if uses and held_out.domains is not None:
            learnt = np.array([use.weight >= NEAR_ZERO for use in uses])
            self.outputs["learnt_from"] = learnt[held_out.domains[held_out.indices]]
        names = self.request.data.source_names
        pseudo = pseudo_target(self.strategy, parts, names, self.context, self.classes)
        if pseudo is not None:
            self.outputs["pseudo"] = pseudo.probabilities
            self.outputs["pseudo_labels"] = pseudo.labels

    def _epoch_callback(self, held_out: Part) -> EpochCallback | None:
        """With one fold only, report after every fifth of the epochs in place of the folds."""
        if self.request.data.target is None or len(self.request.plan.folds) > 1:
            return None
        every = max(1, self.strategy.optimization.epochs // 5)

        def report(epoch: int, model: TransferModel) -> None:
            if epoch == 0:
                self.scores.clear()  # of a training that began anew with less memory
            if (epoch + 1) % every == 0 and epoch + 1 < self.strategy.optimization.epochs:
                mirror = len(held_out.image_set) <= MIRROR_LIMIT
                probabilities = predict_probabilities(
                    model, held_out, self.context.device, flip=mirror
                )
                self._report(0, held_out, probabilities, whole=False, is_last=False)

        return report

    def _report(
        self,
        fold: int,
        held_out: Part,
        probabilities: NDArray[np.float32],
        *,
        whole: bool,
        is_last: bool,
    ) -> None:
        labels = held_out.labels
        assert labels is not None
        if not np.isfinite(probabilities).all():
            raise NonFiniteLossError("the trained model predicts NaN")
        self.folds[fold] = (held_out, probabilities)
        self.scores.append(score(self.request.plan.metric, labels, probabilities))
        correct = probabilities.argmax(1) == labels
        number, value = len(self.scores) - 1, self.scores[-1]
        given = log_scores(probabilities[np.arange(len(labels)), labels])
        step = TrialStep(number, value, whole, held_out.indices, correct, given)
        started = perf_counter()
        stop = self.channel.ask(step)
        self.waited += perf_counter() - started
        if stop and not is_last:
            raise _PrunedError

    def save(self) -> dict[str, float]:
        """Write the predictions; return every metric over the folds done. Counts as predicting."""
        started = perf_counter()
        parts, predicted = zip(*self.folds.values(), strict=True)
        labels = np.concatenate([part.labels for part in parts])
        probabilities = np.concatenate(predicted)
        path = self.request.predictions_path
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            "rows": np.concatenate([part.indices for part in parts]),
            "probabilities": probabilities,
            **self.outputs,
        }
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
        metrics = {
            **all_scores(labels, probabilities),
            "log-loss": mean_log_loss(labels, probabilities),
        }
        self.timings["predict"] += perf_counter() - started
        return metrics
