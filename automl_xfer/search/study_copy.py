"""A copy of Optuna's study in memory, to draw from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED)

_MOST, _BEST, _LATEST, _REFUSED = 500, 50, 200, 50
"""From so many trials on the copy is made anew from the study's best and latest, and from the draws
that were refused last, more of them where few ran.

A draw takes time in proportion to the trials that it looks at. Optuna's TPE takes the best tenth of
them for good, at most 25, so that these stay the same; of the others it counts those long ago
little.
"""


class StudyCopy:
    """What a study's trials tell a sampler, without a database.

    A draw from it takes a fraction of the time of one that is written parameter by parameter, and
    leaves no trial behind where it comes to nothing. However long the study grows, the sampler
    looks at a few hundred trials. Its samplers know this study only: Optuna's remember by
    trial number what they saw.
    """

    def __init__(self, direction: StudyDirection, seed: int, own_seed: int) -> None:
        """`own_seed` differs between processes that run one study at a time."""
        self._direction = direction
        self._seeds = {False: Random(seed), True: Random(own_seed)}
        self._near = {False: Random(seed), True: Random(own_seed)}
        self.random = self._near[False]  # for what is near a draw
        self._copied: set[int] = set()
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
        told = [each for each in trials if each.state in _TELLING]
        news = [each for each in told if each.number not in self._copied]
        self._copied |= {each.number for each in news}
        held = self._study.get_trials(deepcopy=False)
        if len(held) + len(news) < _MOST:
            self._study.add_trials(news)
        else:
            self._begin(self._most_telling([*held, *news]))
        self._study.sampler, self.random = self._samplers[running], self._near[running]
        try:
            if running:
                self._study.add_trials(t for t in trials if t.state is TrialState.RUNNING)
            yield self._study
        finally:  # also of a draw that an error ended
            for left in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study.tell(left.number, state=TrialState.FAIL)

    def _most_telling(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The best and the latest that ran, and the last that were refused, in their order."""
        told = [place for place, each in enumerate(trials) if each.state in _TELLING]
        refused = [place for place in told if _is_refused(trials[place])]
        ran = [place for place in told if not _is_refused(trials[place])]
        complete = [at for at in ran[:-_LATEST] if trials[at].state is TrialState.COMPLETE]
        best_first = sorted(  # of equal ones the first, as TPE does
            complete,
            key=lambda at: trials[at].values[0],
            reverse=self._direction is StudyDirection.MAXIMIZE,
        )
        kept = [*best_first[:_BEST], *ran[-_LATEST:]]
        kept += refused[-max(_REFUSED, _BEST + _LATEST - len(kept)) :]
        return [trials[place] for place in sorted(kept)]


def _is_refused(trial: FrozenTrial) -> bool:
    """Whether it was told to be bad without having run."""
    return trial.state is TrialState.PRUNED and not trial.intermediate_values
