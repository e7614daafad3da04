"""Who predicts together where no target label says what is better."""

import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from automl_xfer.study.records import TrialRecord

N_MEMBERS = 5

SMALL_GAP = 0.75
"""From this agreement with source-only on, the domains lie so near that it is as good a voice."""

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
    and the others of the ranking with it. Source-only alone where nothing ranks ahead of it.

    `leaves_out` tells whether a trial learnt nothing from one of the sources. Where most of those
    ahead do so, the voices of the near are those that do too, and that of source-only is the
    plain strategy's on the other sources: what was left out must not come back by its vote.
    """
    places = [trial.id for trial in ranking]
    place = places.index(reference.id) if reference.id in places else len(places)
    ahead = one_of_each_kind(ranking[:place])[:N_MEMBERS]
    if not ahead:
        return [reference]
    theirs = np.mean([predictions(trial) for trial in ahead], axis=0).argmax(1)
    agreement = np.mean(theirs == predictions(reference).argmax(1))
    if agreement < SMALL_GAP:
        return ahead
    voices, plain = list(ranking), [reference]
    if 2 * sum(map(leaves_out, ahead)) > len(ahead):
        voices = [trial for trial in ranking if leaves_out(trial)]
        plain = [trial for trial in voices if _kind(trial) == _kind(reference)][:1]
    others = [each for each in one_of_each_kind(voices) if _kind(each) != _kind(reference)]
    others = others[: N_MEMBERS - len(plain)]
    leading = sum(each in ahead for each in others)
    return [*others[:leading], *plain, *others[leading:]]


def _kind(trial: TrialRecord) -> tuple[str, ...]:
    backbone = json.dumps(trial.strategy["backbone"], sort_keys=True)
    return (backbone, *(trial.strategy[axis]["name"] for axis in ("freezing", "alignment")))
