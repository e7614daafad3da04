"""Winner: the single best finalist or an ensemble of them, and what it beat."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.intervals import paired_interval, score_interval
from automl_xfer.evaluation.metrics import score
from automl_xfer.report.leaderboard import rank
from automl_xfer.search.finalist import Finalist, beats, held_out, weigh
from automl_xfer.search.judging import candidate, source_only
from automl_xfer.search.latency import fastest, latency_ms, within_limit
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.descriptions import told_apart
from automl_xfer.study.records import (
    BaselineResult,
    Role,
    SourceResult,
    TrialRecord,
    WinnerResult,
)


@dataclass(frozen=True)
class Winner:
    """Finalists with their weights; a single winner is an ensemble of one.

    `sources` are what the heaviest member learnt from, once it is fitted.
    """

    members: tuple[tuple[Finalist, float], ...]
    sources: tuple[SourceResult, ...] = ()

    @property
    def names(self) -> list[str]:
        """Each member; with its weight where there are several."""
        if len(self.members) == 1:
            return [self.members[0][0].trial.description]
        told = told_apart([each.trial for each, _ in self.members])
        return [f"{weight:.2f} x {told[each.trial.id]}" for each, weight in self.members]

    @property
    def description(self) -> str:
        """What it is, in one line."""
        return " + ".join(self.names)


def choose_winner(session: Session, finalists: list[Finalist]) -> Winner:
    """The ensemble of the finalists; of one where one is as good as all together.

    Who prefers speed gets the fastest finalist that the first does not beat beyond the paired
    interval.
    """
    if not within_limit(session, [finalists[0].trial]):
        session.note("No strategy that was tried keeps --max-latency-ms.", warning=True)
    if len(finalists) < 2:
        return Winner(((finalists[0], 1.0),))
    if not session.has_target_labels:
        return _committee(session, finalists)
    return Winner(tuple(members(session, finalists)))


def members(session: Session, finalists: list[Finalist]) -> list[tuple[Finalist, float]]:
    """With target labels: those of the finalists that win, heaviest first, and their weights."""
    if session.options.prefer == "speed":
        alike = [finalists[place] for place in _as_good_as_first(session, finalists)]
        return [(alike[fastest(session, [each.trial for each in alike])], 1.0)]
    return ensemble(session, finalists)


def ensemble(session: Session, finalists: list[Finalist]) -> list[tuple[Finalist, float]]:
    """With target labels: the finalists with a weight in their ensemble, the heaviest first.

    One where one is as good as all together.
    """
    equals = _as_good_as_first(session, finalists)
    weights = weigh(session, finalists, equals, final=True)
    pairs = zip(finalists, weights.tolist(), strict=True)
    heaviest_first = sorted(pairs, key=lambda each: -each[1])
    return [(each, weight) for each, weight in heaviest_first if weight > 0]


def _committee(session: Session, finalists: list[Finalist]) -> Winner:
    """Without target labels: the finalists, which are the committee, with equal weights.

    Ranks cannot tell the first from the fifth; their mean prediction is the safer choice. Where
    there is no source-only to be ahead of, the first wins alone.
    """
    if source_only(session.complete_trials()) is None:
        return Winner(((finalists[0], 1.0),))
    if session.options.prefer == "speed":
        return Winner(((_most_like_all(session, finalists), 1.0),))
    members = [finalists[0]]
    for each in finalists[1:]:
        together = [member.trial for member in (*members, each)]
        members += [each] if within_limit(session, together) else []
    return Winner(tuple((each, 1.0 / len(members)) for each in members))


def _most_like_all(session: Session, finalists: list[Finalist]) -> Finalist:
    """The finalist that agrees with their mean prediction most often."""
    targets = np.stack([candidate(session, each.trial).target for each in finalists])
    together = targets.mean(0).argmax(1)
    return finalists[int((targets.argmax(2) == together).mean(1).argmax())]


def _as_good_as_first(session: Session, finalists: list[Finalist]) -> list[int]:
    """Places of the finalists that the first does not beat beyond the paired interval, and its."""
    first = finalists[0]
    others = range(1, len(finalists))
    return [0, *(place for place in others if not _is_beaten(session, first, finalists[place]))]


def _is_beaten(session: Session, first: Finalist, other: Finalist) -> bool:
    """Whether the first is better beyond the paired interval, on the images both held out."""
    pair = first.trial.id, other.trial.id
    if pair not in session.beaten:
        session.beaten[pair] = beats(session, [(first, 1.0)], other)
    return session.beaten[pair]


def winner_result(session: Session, winner: Winner) -> WinnerResult:
    """The winner as the study records it."""
    trials = [each.trial.id for each, _ in winner.members]
    kind = "single" if len(winner.members) == 1 else "ensemble"
    seeds = winner.members[0][0].seed_scores if kind == "single" else []
    if session.has_target_labels:
        labels, probabilities, _ = winner_held_out(session, winner)
        value = score(session.plan.metric, labels, probabilities)
        interval = list(score_interval(session.plan.metric, labels, probabilities))
    else:
        value, interval = winner.members[0][0].score, []
    needed = latency_ms(session, [each.trial for each, _ in winner.members])
    return WinnerResult(
        kind=kind,
        trials=trials,
        description=winner.description,
        members=winner.names,
        score=value,
        interval=interval,
        seed_scores=seeds,
        latency_ms=needed if needed is not None and math.isfinite(needed) else None,
    )


def winner_held_out(
    session: Session, winner: Winner
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Labels (N,), the winner's held-out probabilities (N, K) and their rows (N,)."""
    labels, stack, rows = held_out(session, [each for each, _ in winner.members])
    weights = np.array([weight for _, weight in winner.members], np.float32)
    return labels, np.tensordot(weights, stack, axes=1), rows


def baseline_results(session: Session, winner: Winner) -> list[BaselineResult]:
    """Every baseline beside the winner, on the same held-out images."""
    records = session.store.trials(session.name, Role.BASELINE)
    best = {record.baseline: record for record in reversed(rank(records))}
    names = dict.fromkeys(record.baseline for record in records)  # in the order they were tried
    return [_compare(session, winner, best[name]) for name in names]


def _compare(session: Session, winner: Winner, record: TrialRecord) -> BaselineResult:
    gain = interval = None
    complete = record.state == "complete"
    if complete and session.has_target_labels:
        gain, interval = _paired_gain(session, winner, record)
    return BaselineResult(
        name=record.baseline or record.description,
        trial=record.id,
        score=record.score if complete else None,
        failure=None if complete else record.failure_message or record.state.value,
        gain=gain,
        gain_interval=interval,
    )


def _paired_gain(
    session: Session, winner: Winner, record: TrialRecord
) -> tuple[float, list[float]]:
    members = [each for each, _ in winner.members]
    labels, stack, _ = held_out(session, [*members, Finalist(record)])
    weights = np.array([weight for _, weight in winner.members], np.float32)
    ours, theirs = np.tensordot(weights, stack[:-1], axes=1), stack[-1]
    metric = session.plan.metric
    gain = score(metric, labels, ours) - score(metric, labels, theirs)
    return gain, list(paired_interval(metric, labels, ours, theirs))


def agreement_with_source_only(session: Session, winner: Winner, reference: TrialRecord) -> float:
    """Share of unlabelled target images on which winner and source-only agree."""
    targets = np.stack([candidate(session, each.trial).target for each, _ in winner.members])
    weights = np.array([weight for _, weight in winner.members], np.float32)
    ours = np.tensordot(weights, targets, axes=1).argmax(1)
    theirs = read_predictions(session, reference).unlabelled
    assert theirs is not None
    return float(np.mean(ours == theirs.argmax(1)))
