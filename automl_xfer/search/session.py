"""Session: what the phases of one running search share."""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import optuna
from numpy.typing import NDArray

from automl_xfer.components import Validator
from automl_xfer.plugin.catalog import Catalog
from automl_xfer.plugin.manager import LoadedPlugins
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.deadline import (
    FIT_SHARE,
    LONGEST_SEARCH_SHARE,
    SEARCH_SHARE,
    SEARCH_SHARE_WITHOUT_LABELS,
    TIMES_FITTED,
    TIMES_REPEATED,
    Deadline,
)
from automl_xfer.search.events import Event, Listener, Note, PhaseStarted
from automl_xfer.search.features_read import Reading, trials_before
from automl_xfer.search.history import TrialHistory
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.plan import Plan
from automl_xfer.search.prepare import PreparedData
from automl_xfer.search.study_copy import StudyCopy
from automl_xfer.space.compose import Space
from automl_xfer.study.records import TrialRecord, TrialState
from automl_xfer.study.store import StudyStore
from automl_xfer.study.workers import current_worker

if TYPE_CHECKING:
    from automl_xfer.search.trial import TrialRequest

_MICRO_BATCHES = "micro_batches"


@dataclass
class Session:
    """One `search` run. `removed` holds (axis, name) of components that kept failing."""

    options: SearchOptions
    plugins: PluginSource
    loaded: LoadedPlugins
    catalog: Catalog
    store: StudyStore
    optuna_study: optuna.Study
    prepared: PreparedData
    plan: Plan
    space: Space
    device: str
    cache_directory: Path
    deadline: Deadline
    listener: Listener
    should_stop: Callable[[], bool]
    backbone_order: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stage_seconds: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By backbone: seconds of each stage in one image's forward pass."""
    latency_ms: dict[str, float] = field(default_factory=dict)  # of one image, by backbone
    seconds_to_end: float = math.inf  # predicted, of what comes after the search
    left_out: dict[str, float] = field(default_factory=dict)  # strategy of the start -> seconds
    booked_seconds: float = 0.0
    phases_begun: dict[str, float] = field(default_factory=dict)  # seconds after the start
    trials_run: int = 0
    next_waits: bool = False  # whether a strategy was queued while the last trial ran
    next_queued: str | None = None  # the strategy that waits, as JSON
    begun: "TrialRequest | None" = None  # with which a process began before its trial has a record
    removed: set[tuple[str, str]] = field(default_factory=set)
    readings: dict[int, Reading | None] = field(default_factory=dict)  # by trial; None: trained
    kinds: dict[int, str] = field(default_factory=dict)  # by trial, of which neighbours are one
    starts: dict[int, str] = field(default_factory=dict)  # by trial, from which it trained
    beaten: dict[tuple[int, int], bool] = field(default_factory=dict)
    """By two trials: whether the first is better than the other beyond chance."""
    soup: int | None = None  # the trial that averages the weights of those in `ingredients`
    ingredients: set[int] = field(default_factory=set)
    best_interval: tuple[int, tuple[float, float]] | None = None  # of the best trial so far, by id
    given_to_labels: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """By trial: what it gave the labels of its held-out images (N,)."""

    @property
    def name(self) -> str:
        """The study's name."""
        return self.options.study_name

    @property
    def directory(self) -> Path:
        """The study's folder."""
        return self.options.directory

    @property
    def validators(self) -> list[Validator]:
        """Every validator of the catalog, with its defaults."""
        made = [validator() for validator in self.catalog.classes["validator"].values()]
        return [validator for validator in made if isinstance(validator, Validator)]

    @property
    def has_target_labels(self) -> bool:
        """Whether the target has labels to select by."""
        return self.plan.kind != "no-target-labels"

    def search_left(self) -> float:
        """Seconds until the search must end.

        With target labels finalists are repeated after it; without, only the final fits come.
        Where nothing has finished yet there is nothing to end with: it goes on as long as it may.
        """
        if math.isinf(self.seconds_to_end) and not self.complete_trials():
            return self.deadline.left(LONGEST_SEARCH_SHARE)
        if not self.has_target_labels:
            return self.deadline.left(SEARCH_SHARE_WITHOUT_LABELS)
        share = FIT_SHARE - self.seconds_to_end / self.deadline.seconds
        return self.deadline.left(min(max(share, SEARCH_SHARE), LONGEST_SEARCH_SHARE))

    def trial_left(self) -> float:
        """Seconds that a trial may take that begins now.

        Past the share that is the search's in any case it must leave time for itself as a winner:
        for its repeats and its final fit.
        """
        left = self.search_left()
        if not self.has_target_labels:
            return left
        as_winner = 1 + (TIMES_REPEATED if len(self.plan.folds) > 1 else TIMES_FITTED)
        return max(
            self.deadline.left(SEARCH_SHARE), min(left, self.deadline.left(FIT_SHARE) / as_winner)
        )

    def tell(self, event: Event) -> None:
        """Hand an event to whoever watches."""
        self.listener(event)

    def phase(self, name: str, detail: str = "") -> None:
        """Announce and record a phase."""
        self.phases_begun[name] = self.deadline.elapsed
        self.store.update_study(self.name, phase=name)
        self.tell(PhaseStarted(name, detail))

    def book_time(self) -> None:
        """Add the time since the last booking to the study's."""
        seconds = self.deadline.elapsed - self.booked_seconds
        self.booked_seconds += seconds
        self.store.update_study(self.name, add_seconds=seconds)

    def note(self, message: str, *, warning: bool = False) -> None:
        """Say something to the watcher and keep it for the report."""
        if message not in self.notes:
            self.notes.append(message)
            self.tell(Note(message, warning))

    @cached_property
    def history(self) -> TrialHistory:
        """The study's trials as this process knows them."""
        return TrialHistory(self.store, self.name)

    @cached_property
    def study_copy(self) -> StudyCopy:
        """Optuna's study in memory, for draws that may come to nothing."""
        seed = f"{self.options.seed} {len(self.trials())}"
        alone, beside = (zlib.crc32(f"{seed} {each}".encode()) for each in ("", current_worker()))
        return StudyCopy(self.optuna_study.direction, alone, beside)

    def trials(self) -> list[TrialRecord]:
        """All trials of the study as they are now, by id."""
        return self.history.all()

    @cached_property
    def micro_batches(self) -> int:
        """Into how many parts training steps are cut, as the memory asked for in this study."""
        return int(self.store.get_study(self.name).facts.get(_MICRO_BATCHES, 1))  # type: ignore[call-overload]

    def remember_micro_batches(self, needed: int) -> None:
        """Later trials and runs of this study need not find it out again."""
        if needed > self.micro_batches:
            facts = self.store.get_study(self.name).facts
            needed = max(needed, int(facts.get(_MICRO_BATCHES, 1)))  # type: ignore[call-overload]
            self.micro_batches = needed
            self.store.update_study(self.name, facts={**facts, _MICRO_BATCHES: needed})
            self.note(
                f"The memory of {self.device} did not suffice: training steps add up {needed} "
                "parts of a batch from now on."
            )

    @property
    def compiler(self) -> str | None:
        """What compiles long training: on a CPU nothing, where compiled steps took longer."""
        return "inductor" if self.options.compile and self.device != "cpu" else None

    @cached_property
    def trials_before(self) -> list[TrialRecord]:
        """Trials of earlier studies whose features this one finds made."""
        return trials_before(self)

    def may_win(self, trial: TrialRecord) -> bool:
        """Not what a soup replaces, and no other soup: an earlier end may have left some."""
        averages = self.history.strategy(trial, self.catalog.classes).freezing.averages
        return trial.id == self.soup or not (averages or trial.id in self.ingredients)

    def complete_trials(self) -> list[TrialRecord]:
        """Finished trials of the search that can be chosen, finalist repeats left out."""
        return [
            record
            for record in self.trials()
            if record.state is TrialState.COMPLETE and record.repeats is None
        ]
