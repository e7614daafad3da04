"""One trial, as run in its own process: train the strategy on every fold and keep predictions."""

import resource
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from automl_xfer.components import Strategy
from automl_xfer.evaluation.metrics import all_scores, mean_log_loss, score
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import Channel
from automl_xfer.search.plan import Plan, fold_parts
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import FittedStrategy, fit
from automl_xfer.transfer.parts import Part, StudyData, TrainingParts


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


@dataclass(frozen=True)
class TrialStep:
    """The score of one fold (or epoch of a single fold) and which of its images were right."""

    step: int
    score: float
    rows: NDArray[np.int64]
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class TrialOutcome:
    """What a finished trial found. `pruned` trials stopped after fewer folds."""

    steps: tuple[float, ...]
    score: float | None
    metrics: dict[str, float]
    timings: dict[str, float]
    peak_memory_mb: float
    pruned: bool


def run_trial(request: TrialRequest, channel: Channel) -> TrialOutcome:
    """Train on every fold; ask the parent after each whether to go on."""
    started = perf_counter()
    strategy = Strategy.from_dict(request.strategy, request.plugins.load()[1].classes)
    context = FitContext(request.device, request.seed, FeatureCache(request.cache_directory))
    run = _Run(request, strategy, context, channel)
    pruned = False
    for parts, held_out in fold_parts(request.data, request.plan):
        if run.fold(parts, held_out):
            pruned = len(run.steps) < len(request.plan.folds)
            break
    loaded = perf_counter() - started - sum(run.timings.values())
    timings = {**run.timings, "load": loaded, "total": perf_counter() - started}
    metrics = run.save()
    value = metrics.get(request.plan.metric)
    return TrialOutcome(tuple(run.steps), value, metrics, timings, _peak_memory_mb(), pruned)


class _Run:
    """Collects predictions and scores over the folds of one trial."""

    def __init__(
        self, request: TrialRequest, strategy: Strategy, context: FitContext, channel: Channel
    ) -> None:
        self.request, self.strategy = request, strategy
        self.context, self.channel = context, channel
        self.steps: list[float] = []
        self.timings = {"fit": 0.0, "predict": 0.0}
        self.rows: list[NDArray[np.int64]] = []
        self.labels: list[NDArray[np.int64]] = []
        self.probabilities: list[NDArray[np.float32]] = []
        self.unlabelled: NDArray[np.float32] | None = None

    def fold(self, parts: TrainingParts, held_out: Part) -> bool:
        """Train and score one fold; whether the parent wants to stop."""
        fitted = fit(self.strategy, parts, self.context)
        self.timings["fit"] += fitted.seconds
        started = perf_counter()
        labels = held_out.labels
        assert labels is not None
        probabilities = self._predict_held_out(fitted, held_out)
        if self.request.data.target is None and self.request.data.unlabelled is not None:
            self.unlabelled = fitted.predict(Part.whole(self.request.data.unlabelled))
        self.timings["predict"] += perf_counter() - started
        self.rows.append(held_out.indices)
        self.labels.append(labels)
        self.probabilities.append(probabilities)
        self.steps.append(score(self.request.plan.metric, labels, probabilities))
        correct = probabilities.argmax(1) == labels
        step = TrialStep(len(self.steps) - 1, self.steps[-1], held_out.indices, correct)
        return bool(self.channel.ask(step))

    def _predict_held_out(self, fitted: FittedStrategy, held_out: Part) -> NDArray[np.float32]:
        probabilities = fitted.predict(held_out, from_source=self.request.data.target is None)
        if not np.isfinite(probabilities).all():
            from automl_xfer.transfer.gradient import NonFiniteLossError

            raise NonFiniteLossError("the trained model predicts NaN")
        return probabilities

    def save(self) -> dict[str, float]:
        """Write the predictions; return every metric over the folds done."""
        labels, probabilities = np.concatenate(self.labels), np.concatenate(self.probabilities)
        path = self.request.predictions_path
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            "rows": np.concatenate(self.rows),
            "probabilities": probabilities,
        }
        if self.unlabelled is not None:
            arrays["unlabelled"] = self.unlabelled
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
        return {
            **all_scores(labels, probabilities),
            "log-loss": mean_log_loss(labels, probabilities),
        }


def _peak_memory_mb() -> float:
    """Peak memory of this process: the GPU's where one was used, else the resident set."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
