"""Who predicts together where no target label says what is better."""

import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from automl_xfer.study.records import TrialRecord

N_MEMBERS = 5

SMALL_GAP = 0.75
"""From this agreement with source-only on, the domains lie so near that it is as good a voice."""

NO_GAP = 0.97
"""From this agreement on there is no more to win than to lose, and source-only wins alone.

Set where our own pairs leave a gap: between 0.96, where the committee gained 2 to 4 points, and
0.98, where it gained or lost one.
"""

Predictions = Callable[[TrialRecord], NDArray[np.float32]]
"""A trial's probabilities (N, K) on the unlabelled target images."""


def one_of_each_kind(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The first trial of each backbone, freezing and alignment.

    The sampler tries many neighbours of what is good; they would only repeat one another.
    """
    kinds: dict[tuple[str, ...], TrialRecord] = {}
    for trial in trials:
        kinds.setdefault(_kind(trial), trial)
    return list(kinds.values())


def committee(
    ranking: Sequence[TrialRecord],
    reference: TrialRecord,
    predictions: Predictions,
    leaves_out: Callable[[TrialRecord], bool] = lambda trial: False,
) -> list[TrialRecord]:
    """Up to five members out of the trials behind open gates, those that matter most first.

    Those ahead of source-only, `reference`. Where they and source-only nearly agree, the domains
    lie near each other: adaptation can do little more than harm there, so source-only votes too,
    and the others of the ranking with it. Source-only alone where nothing ranks ahead of it, or
    where all these would still give nearly every image its class.

    `leaves_out` tells whether a trial learnt nothing from one of the sources. Where most of those
    ahead do so, the voices of the near are those that do too, and that of source-only is the
    plain strategy's on the other sources: what was left out must not come back by its vote.
    """
    places = [trial.id for trial in ranking]
    place = places.index(reference.id) if reference.id in places else len(places)
    ahead = one_of_each_kind(ranking[:place])[:N_MEMBERS]
    if not ahead:
        return [reference]
    if _agreement(ahead, reference, predictions) < SMALL_GAP:
        return ahead
    voices, plain = list(ranking), [reference]
    if 2 * sum(map(leaves_out, ahead)) > len(ahead):
        voices = [trial for trial in ranking if leaves_out(trial)]
        plain = [trial for trial in voices if _kind(trial) == _kind(reference)][:1]
    others = [each for each in one_of_each_kind(voices) if _kind(each) != _kind(reference)]
    others = others[: N_MEMBERS - len(plain)]
    leading = sum(each in ahead for each in others)
    members = [*others[:leading], *plain, *others[leading:]]
    alike = _agreement(members, reference, predictions) >= NO_GAP
    return plain if alike and plain else members


def _agreement(
    trials: Sequence[TrialRecord], reference: TrialRecord, predictions: Predictions
) -> float:
    """Share of the images to which their mean prediction and the reference give one class."""
    together = np.mean([predictions(trial) for trial in trials], axis=0).argmax(1)
    return float(np.mean(together == predictions(reference).argmax(1)))


def _kind(trial: TrialRecord) -> tuple[str, ...]:
    backbone = json.dumps(trial.strategy["backbone"], sort_keys=True)
    return (backbone, *(trial.strategy[axis]["name"] for axis in ("freezing", "alignment")))
