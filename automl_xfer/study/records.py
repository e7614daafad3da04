"""Records: what a study keeps, as plain typed data. No SQL and no torch in here."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NotRequired, TypedDict


class TrialState(StrEnum):
    """Where a trial is."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class FailureKind(StrEnum):
    """Why a trial failed; kinds are never merged."""

    OUT_OF_MEMORY = "out-of-memory"
    NAN = "nan"
    TIMEOUT = "timeout"
    PLUGIN_ERROR = "plugin-error"
    CRASH = "crash"
    DATA_ERROR = "data-error"
    INTERRUPTED = "interrupted"


class Role(StrEnum):
    """Why a trial was run."""

    BASELINE = "baseline"
    PORTFOLIO = "portfolio"
    SEARCH = "search"
    FINALIST = "finalist"


FORESEEN = "foreseen"
"""The timing of a trial that was predicted from its backbone's speed alone."""


SPARED = "spared"
"""The timing of training that was not done again, as its weights were kept."""


@dataclass(frozen=True)
class TrialRecord:
    """One strategy trained and scored.

    `number` is Optuna's trial number (None for finalist repeats, whose `repeats` names the trial
    they repeat). `steps` are scores per fold or epoch. `timings` are seconds by phase; the key
    `total` is the whole trial; FORESEEN, a prediction, and SPARED are no part of it. Times are UTC.
    """

    id: int
    study: str
    number: int | None
    role: Role
    strategy: dict[str, dict[str, Any]]
    description: str
    state: TrialState
    seed: int
    baseline: str | None = None  # "source-only", "linear-probe", ... when role is BASELINE
    repeats: int | None = None
    score: float | None = None
    complexity: int = 0
    steps: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    peak_memory_mb: float | None = None
    failure_kind: FailureKind | None = None
    failure_message: str | None = None
    traceback: str | None = None
    predictions_path: str | None = None  # .npz, relative to the study's folder
    worker: str = ""  # host:pid:start-time of the supervisor
    started: datetime | None = None
    finished: datetime | None = None


class WinnerResult(TypedDict):
    """The strategy the study ended with."""

    kind: str  # "single" or "ensemble"
    trials: list[int]
    description: str
    members: NotRequired[list[str]]  # one by one, with their weights
    score: float
    interval: list[float]  # 95 % interval of the score
    seed_scores: list[float]
    latency_ms: NotRequired[float | None]  # of one image on the machine that searched


class BaselineResult(TypedDict):
    """One baseline beside the winner. `gain` = winner - baseline, paired bootstrap interval."""

    name: str
    trial: int | None
    score: float | None
    failure: str | None
    gain: float | None
    gain_interval: list[float] | None
    test_score: NotRequired[float]  # on the test split, fitted on all labelled rows
    test_gain: NotRequired[float]
    test_gain_interval: NotRequired[list[float]]


class TestResult(TypedDict):
    """The test split, scored once at the very end."""

    n: int
    times: int  # how often this study has scored it: 1 unless the study went on
    scores: dict[str, float]  # metric name -> value
    interval: list[float]
    per_class_recall: dict[str, float]


class Mistake(TypedDict):
    """A confidently wrong prediction, for the report."""

    image: str
    label: str
    predicted: str
    confidence: float


class SourceResult(TypedDict):
    """One source beside the target, on features of the winner's backbone.

    `weight`: how much one of its images counts in the winner, mean 1 over all source images; 0:
    left out; None: the winner reads no source. `left_out_by`: the share of the winner's members
    that read sources and leave this one out. Distances are those before and after the alignment.
    """

    name: str
    images: int
    weight: float | None
    left_out_by: NotRequired[float]
    consistency: float  # leave-one-out nearest-neighbour accuracy within the source
    agreement: float | None  # with the target's labels, or without any, with another source's
    before: dict[str, float | None]  # proxy_a, frechet, mmd
    after: dict[str, float | None]
    prior_difference: float | None  # total variation between class shares; needs target labels


class StudyResult(TypedDict, total=False):
    """What the end of a study found."""

    signal: str  # in words: "5-fold cross-validated accuracy on 35 target images"
    metric: str
    winner: WinnerResult
    baselines: list[BaselineResult]
    test: TestResult | None
    classes: list[str]
    confusion: list[list[int]]  # rows: true class, columns: predicted
    confusion_from: str  # "out-of-fold predictions" or "test split"
    mistakes: list[Mistake]
    sources: list[SourceResult]
    notes: list[str]  # plain sentences: what alignment did, what was left out, what fell short
    seconds: dict[str, float]  # by phase
    bundle: str


@dataclass(frozen=True)
class StudyRecord:
    """One target, its sources, a catalog, a seed, and what was found."""

    name: str
    created: datetime
    seed: int
    metric: str
    options: dict[str, Any]
    facts: dict[str, Any]  # n_train, n_val, n_unlabelled, sources {name: n}, classes, n_test, ...
    manifest_hash: str
    catalog: dict[str, Any]  # axis -> {name: "plugin version"}
    health: dict[str, Any]  # HealthReport.to_dict()
    version: str  # of automl-xfer
    phase: str = "created"  # created, searching, finished, ...
    result: StudyResult | None = None
    seconds_spent: float = 0.0
