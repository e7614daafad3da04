"""History: a study's trials in this process, of which only the news is read."""

import json
import math
import time
from collections.abc import Mapping

from automl_xfer.components import Strategy
from automl_xfer.study.records import FailureKind, TrialRecord, TrialState
from automl_xfer.study.store import StudyStore

_OVERLAP = 100
"""Of several processes one may show a trial late that has a smaller id than the last seen."""

_FRESH_SECONDS = 0.05
"""What other processes write is seen so late: between two trials the history is asked often."""


class TrialHistory:
    """The trials of a study, by id. A finished one never changes, so it is read once.

    One marked as interrupted may turn out to have been alive, and is read while it is recent.
    """

    def __init__(self, store: StudyStore, study: str) -> None:
        self._store, self._study = store, study
        self._known: dict[int, TrialRecord] = {}
        self._strategies: dict[int, Strategy] = {}
        self._texts: dict[int, frozenset[str]] = {}
        self._read_at, self._writes_read = -math.inf, -1

    def all(self) -> list[TrialRecord]:
        """Every trial as it is now, or was a twentieth of a second ago in another process."""
        if not self._is_fresh():
            self._read_news()
        return [self._known[id] for id in sorted(self._known)]

    def _is_fresh(self) -> bool:
        """Whether this process wrote nothing since the last reading, a moment ago."""
        own = self._store.trial_writes == self._writes_read
        return own and time.monotonic() - self._read_at < _FRESH_SECONDS

    def _read_news(self) -> None:
        self._writes_read, self._read_at = self._store.trial_writes, time.monotonic()
        running = {id for id, trial in self._known.items() if trial.state is TrialState.RUNNING}
        since = max(self._known, default=0) - _OVERLAP
        ended = [id for id, trial in self._known.items() if id > since and _has_ended(trial)]
        for trial in self._store.trials_since(self._study, since, running, ended):
            self._known[trial.id] = trial

    def strategy(self, trial: TrialRecord, classes: Mapping[str, Mapping[str, type]]) -> Strategy:
        """What the trial ran."""
        if trial.id not in self._strategies:
            self._strategies[trial.id] = Strategy.from_dict(trial.strategy, classes)
        return self._strategies[trial.id]

    def texts(self, trial: TrialRecord) -> frozenset[str]:
        """What the trial ran as JSON; one with a teacher also as it was drawn, without."""
        if trial.id not in self._texts:
            texts = {json.dumps(trial.strategy, sort_keys=True)}
            if trial.strategy["regularizer"].get("teacher"):
                plain = {**trial.strategy["regularizer"], "teacher": ""}
                texts.add(json.dumps({**trial.strategy, "regularizer": plain}, sort_keys=True))
            self._texts[trial.id] = frozenset(texts)
        return self._texts[trial.id]


def _has_ended(trial: TrialRecord) -> bool:
    return (
        trial.state is not TrialState.RUNNING and trial.failure_kind is not FailureKind.INTERRUPTED
    )
