"""Optuna's half of a study: the same trials under Optuna's own numbers."""

import warnings
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from automl_xfer.study.storage import ResilientStorage


class OptunaTrials:
    """The trials that Optuna keeps for one study; empty where it has no such study."""

    def __init__(self, storage: ResilientStorage, study: str) -> None:
        self._storage = storage
        self._study: optuna.Study | None = None
        with suppress(KeyError):  # Optuna's word for an unknown name
            self._study = optuna.load_study(study_name=study, storage=storage)

    def delete(self) -> None:
        """Remove the study with all its trials."""
        if self._study is not None:
            optuna.delete_study(study_name=self._study.study_name, storage=self._storage)

    def lost(self, recorded: Collection[int], unseen_seconds: float) -> set[int]:
        """Numbers of trials that nobody runs any more, as far as Optuna can tell.

        These are failed trials, trials whose heartbeat stopped, and trials that have not beaten
        once for `unseen_seconds`. A running trial without heartbeat or record (its worker died
        before either) is told to fail as well.
        """
        if self._study is None:
            return set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(self._study)
        unseen = {trial.number for trial in self._unseen(unseen_seconds)}
        self.fail(unseen - set(recorded))
        failed = self._study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        return unseen | {trial.number for trial in failed}

    def fail(self, numbers: Collection[int]) -> None:
        """Tell Optuna that these trials failed, where they have not ended yet."""
        if self._study is None:
            return
        for number in sorted(numbers):
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _unseen(self, seconds: float) -> list[FrozenTrial]:
        assert self._study is not None
        now = datetime.now()  # Optuna answers in naive local time
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if trial.datetime_start is not None
            and (now - trial.datetime_start).total_seconds() > seconds
            and not self._storage.has_beaten(trial._trial_id)
        ]
