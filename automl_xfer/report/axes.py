"""Which axis mattered: how much of the spread in scores each choice explains."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from automl_xfer.report.leaderboard import finite_score
from automl_xfer.study.records import TrialRecord

MIN_TRIALS = 8
"""With fewer complete trials nothing is said about the axes."""


@dataclass(frozen=True)
class ChoiceScores:
    """One component and the scores of the trials that used it."""

    name: str
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(np.mean(self.scores))

    @property
    def best(self) -> float:
        """Highest score."""
        return max(self.scores)


@dataclass(frozen=True)
class AxisEffect:
    """How much one axis explains, and its choices, best mean first."""

    axis: str
    share: float
    choices: tuple[ChoiceScores, ...]


def axis_effects(trials: Iterable[TrialRecord]) -> list[AxisEffect]:
    """The axes that varied, by the share of the variance of ranks between their choices.

    The share is epsilon squared (Kelley 1935), (SS_between - (k - 1) MS_within) / SS_total, cut
    off at 0: the plain ratio of an axis with k choices and no effect at all would be
    (k - 1) / (n - 1). It is taken over the ranks of the scores (Kruskal and Wallis 1952), else
    one hopeless baseline would be most of the variance. Finalists' repeats are left out. Empty
    when fewer than `MIN_TRIALS` trials are complete.
    """
    scored = [t for t in trials if t.repeats is None and finite_score(t) is not None]
    if len(scored) < MIN_TRIALS:
        return []
    effects = [_effect(axis, scored) for axis in scored[0].strategy]
    varied = [effect for effect in effects if len(effect.choices) > 1]
    return sorted(varied, key=lambda effect: -effect.share)


def choice(trial: TrialRecord, axis: str) -> str:
    """The name of the component that `trial` has on `axis`.

    One class offers many backbones, so there the first part of the description, which is always
    the backbone's label, tells them apart.
    """
    if axis == "backbone" and trial.description:
        return trial.description.split(" · ")[0]
    return str(trial.strategy.get(axis, {}).get("name", "none"))


def _effect(axis: str, trials: Sequence[TrialRecord]) -> AxisEffect:
    scores = np.array([trial.score for trial in trials], dtype=float)
    members: dict[str, list[int]] = defaultdict(list)
    for index, trial in enumerate(trials):
        members[choice(trial, axis)].append(index)
    choices = [ChoiceScores(name, tuple(scores[own])) for name, own in members.items()]
    choices.sort(key=lambda made: -made.mean)
    return AxisEffect(axis, _variance_share(rankdata(scores), members.values()), tuple(choices))


def _variance_share(ranks: NDArray[np.float64], groups: Collection[Sequence[int]]) -> float:
    total = float(np.var(ranks)) * len(ranks)
    freedom = len(ranks) - len(groups)
    if total < 1e-12 or freedom < 1:
        return 0.0
    within = sum(float(np.var(ranks[list(own)])) * len(own) for own in groups)
    return max(0.0, (total - within - (len(groups) - 1) * within / freedom) / total)
