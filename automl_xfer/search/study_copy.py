"""A copy of Optuna's study in memory, to draw from."""

from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED)


class StudyCopy:
    """What a study's trials tell a sampler, without a database.

    A draw from it takes a fraction of the time of one that is written parameter by parameter, and
    leaves no trial behind where it comes to nothing.
    """

    def __init__(self, original: optuna.Study) -> None:
        self._original = original
        self._begin()

    def _begin(self) -> None:
        self._study = optuna.create_study(direction=self._original.direction)
        self._copied: set[int] = set()

    def refreshed(self, trials: Iterable[FrozenTrial], *, with_running: bool) -> optuna.Study:
        """The copy with what was told since, of all `trials`, and with the original's sampler.

        `with_running` for a sampler that looks at what others run: such a copy serves once.
        """
        if with_running:
            self._begin()
        states = (*_TELLING, TrialState.RUNNING) if with_running else _TELLING
        for trial in trials:
            if trial.state in states:
                self._take(trial)
        made = self._study
        made.sampler = self._original.sampler
        if with_running:
            self._begin()
        return made

    def _take(self, trial: FrozenTrial) -> None:
        if trial.number not in self._copied:
            self._copied.add(trial.number)
            self._study.add_trial(trial)
