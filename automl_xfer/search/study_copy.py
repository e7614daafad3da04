"""A copy of Optuna's study in memory, to draw from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import optuna
from optuna.trial import FrozenTrial, TrialState

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED)


class StudyCopy:
    """What a study's trials tell a sampler, without a database.

    A draw from it takes a fraction of the time of one that is written parameter by parameter, and
    leaves no trial behind where it comes to nothing. Its samplers know this study only: Optuna's
    remember by trial number what they saw.
    """

    def __init__(self, direction: optuna.study.StudyDirection, seed: int, own_seed: int) -> None:
        """`own_seed` differs between processes that run one study at a time."""
        self._samplers = {
            False: optuna.samplers.TPESampler(seed=seed, constant_liar=False),
            True: optuna.samplers.TPESampler(seed=own_seed, constant_liar=True),
        }
        self._study = optuna.create_study(direction=direction, sampler=self._samplers[False])
        self._copied: set[int] = set()
        self.random = Random(own_seed)  # for what is near a draw

    @contextmanager
    def with_trials(
        self, trials: Sequence[FrozenTrial], *, running: bool
    ) -> Iterator[optuna.Study]:
        """The copy with what was told of all `trials`, and for now with those that run.

        Where others run some (`running`) these count as bad, so that no two go to one place.
        """
        for trial in trials:
            if trial.state in _TELLING and trial.number not in self._copied:
                self._copied.add(trial.number)
                self._study.add_trial(trial)
        self._study.sampler = self._samplers[running]
        try:
            if running:
                self._study.add_trials(t for t in trials if t.state is TrialState.RUNNING)
            yield self._study
        finally:  # also of a draw that an error ended
            for left in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study.tell(left.number, state=TrialState.FAIL)
