"""A copy of Optuna's study in memory, to draw from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED)

_MOST, _BEST, _LATEST = 500, 50, 200
"""From so many trials on the copy is made anew from the best and the latest.

A draw takes time in proportion to the trials that it looks at. Optuna's TPE takes the best tenth of
them for good, at most 25, so that these stay the same; of the others it counts those long ago
little.
"""


class StudyCopy:
    """What a study's trials tell a sampler, without a database.

    A draw from it takes a fraction of the time of one that is written parameter by parameter, and
    leaves no trial behind where it comes to nothing. However long the study grows, a draw takes as
    long as one from a few hundred trials. Its samplers know this study only: Optuna's remember by
    trial number what they saw.
    """

    def __init__(self, direction: StudyDirection, seed: int, own_seed: int) -> None:
        """`own_seed` differs between processes that run one study at a time."""
        self._direction = direction
        self._seeds = {False: Random(seed), True: Random(own_seed)}
        self._copied: set[int] = set()
        self.random = Random(own_seed)  # for what is near a draw
        self._begin([])

    def _begin(self, trials: Sequence[FrozenTrial]) -> None:
        """A new study of these trials, with samplers that know no other."""
        self._samplers = {
            beside: optuna.samplers.TPESampler(seed=seeds.getrandbits(32), constant_liar=beside)
            for beside, seeds in self._seeds.items()
        }
        self._study = optuna.create_study(direction=self._direction, sampler=self._samplers[False])
        self._study.add_trials(trials)

    @contextmanager
    def with_trials(
        self, trials: Sequence[FrozenTrial], *, running: bool
    ) -> Iterator[optuna.Study]:
        """The copy with what was told of `trials`, all of the study, and those that run for now.

        Where others run some (`running`) these count as bad, so that no two go to one place.
        """
        for trial in trials:
            if trial.state in _TELLING and trial.number not in self._copied:
                self._copied.add(trial.number)
                self._study.add_trial(trial)
        self._forget()
        self._study.sampler = self._samplers[running]
        try:
            if running:
                self._study.add_trials(t for t in trials if t.state is TrialState.RUNNING)
            yield self._study
        finally:  # also of a draw that an error ended
            for left in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study.tell(left.number, state=TrialState.FAIL)

    def _forget(self) -> None:
        """Leave the best and the latest trials where there are many; failed ones tell nothing."""
        if len(self._study.get_trials(deepcopy=False)) < _MOST:
            return
        told = self._study.get_trials(deepcopy=False, states=_TELLING)
        sign = 1 if self._direction is StudyDirection.MINIMIZE else -1
        scored = [each for each in told if each.state is TrialState.COMPLETE]
        best = sorted(scored, key=lambda each: sign * (each.value or 0.0))[:_BEST]
        kept = {each.number: each for each in [*best, *told[-_LATEST:]]}
        self._begin([kept[number] for number in sorted(kept)])
