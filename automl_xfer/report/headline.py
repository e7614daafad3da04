"""The first sentences of a report: who won, by how much, and what did not help."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from automl_xfer.report.axes import choice
from automl_xfer.report.leaderboard import finite_score, leaders
from automl_xfer.report.wording import (
    ScoreWording,
    has_target_labels,
    is_interval,
    plural,
    verdict,
)
from automl_xfer.study.records import (
    BaselineResult,
    StudyRecord,
    TrialRecord,
    TrialState,
    WinnerResult,
)

_UNALIGNED = frozenset({"none", "source-only", "joint"})
"""Choices of the alignment axis that say which images to train on and align nothing."""

Tone = Literal["better", "even", "worse", "unfinished", "failed"]


@dataclass(frozen=True)
class Headline:
    """One plain sentence, the strategy it is about (if any) and how the study went."""

    sentence: str
    strategy: str
    tone: Tone


def headline(study: StudyRecord, trials: Sequence[TrialRecord], wording: ScoreWording) -> Headline:
    """Say what the study found; also for one that is unfinished or in which all failed."""
    winner = (study.result or {}).get("winner")
    if winner is None:
        return _without_winner(trials, wording)
    if not has_target_labels(study):
        return Headline(_without_labels(study, trials), winner["description"], "even")
    sentence, tone = _outcome(winner, (study.result or {}).get("baselines", []), wording)
    return Headline(sentence, winner["description"], tone)


def alignment_sentence(
    study: StudyRecord, trials: Sequence[TrialRecord], wording: ScoreWording
) -> str | None:
    """Whether alignment helped, where strategies with and without it were both scored.

    None without target labels: validators do not measure that.
    """
    if not has_target_labels(study):
        return None
    names = {t.id: choice(t, "alignment") for t in trials}
    ranked = leaders(trials)
    plain = next((t for t in ranked if names[t.id] in _UNALIGNED), None)
    aligned = next((t for t in ranked if names[t.id] not in _UNALIGNED), None)
    if plain is None or aligned is None:
        return None
    winner = (study.result or {}).get("winner")
    used = winner["trials"] if winner else [ranked[0].id]
    if all(names.get(trial, "none") in _UNALIGNED for trial in used):
        told = "Alignment did not help"
    elif (aligned.score or 0.0) > (plain.score or 0.0):
        told = "The best strategy uses alignment"
    else:
        told = "The winner uses alignment, which by itself scored no higher"
    return (
        f"{told}: "
        f"{wording.score(aligned.score)} at best with it ({names[aligned.id]}), "
        f"{wording.score(plain.score)} at best without."
    )


def strongest(baselines: Sequence[BaselineResult]) -> BaselineResult | None:
    """The baseline that is hardest to beat."""
    scored = [baseline for baseline in baselines if baseline["score"] is not None]
    return max(scored, key=lambda baseline: baseline["score"] or 0.0, default=None)


def is_winner(baseline: BaselineResult, winner: WinnerResult) -> bool:
    """Whether this baseline itself is the strategy that won."""
    return baseline["trial"] is not None and winner["trials"] == [baseline["trial"]]


def _outcome(
    winner: WinnerResult, baselines: Sequence[BaselineResult], wording: ScoreWording
) -> tuple[str, Tone]:
    score = wording.score_with_interval(winner["score"], winner["interval"])
    rival = strongest(baselines)
    if own := next((b for b in baselines if is_winner(b, winner)), None):
        return _baseline_won(own, rival, score, wording), "even"
    if rival is None:
        return f"The winner scores {score}; there is no baseline to hold it against.", "even"
    against = f"the best baseline, {rival['name']} ({wording.score(rival['score'])})"
    gain = wording.gain(rival["gain"])
    if is_interval(rival["gain_interval"]):
        gain += f", 95\u00a0% interval {wording.gain_interval(rival['gain_interval'])}"
    match verdict(rival["gain_interval"]):
        case "better":
            return f"The winner scores {score} and beats {against}: {gain}.", "better"
        case "worse":
            return f"The winner scores {score}, which is worse than {against}: {gain}.", "worse"
        case "no clear difference":
            told = "which cannot be told apart from"
            return f"The winner scores {score}, {told} {against}: {gain}.", "even"
        case _:
            told = "with no interval to hold it against"
            return f"The winner scores {score}, {told} {against}: {gain}.", "even"


def _baseline_won(
    own: BaselineResult, rival: BaselineResult | None, score: str, wording: ScoreWording
) -> str:
    """A finalist is chosen by its repeats, so another baseline may be ahead in the search."""
    if rival is None or (rival["score"] or 0.0) <= (own["score"] or 0.0):
        return f"Nothing beat the {own['name']} baseline: it wins with {score}."
    return (
        f"The {own['name']} baseline itself wins with {score}; {rival['name']} "
        f"({wording.score(rival['score'])}) was ahead in the search alone."
    )


def _without_labels(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    chosen = f"validators chose the winner out of {plural(len(leaders(trials)), 'complete trial')}"
    test = (study.result or {}).get("test")
    if test is None or study.metric not in test["scores"]:
        return f"Without target labels, {chosen}; how much it gains can't be measured."
    score = ScoreWording(percent=True).score_with_interval(
        test["scores"][study.metric], test["interval"]
    )
    return f"Without target labels, {chosen}; on the test split it scores {score}."


def _without_winner(trials: Sequence[TrialRecord], wording: ScoreWording) -> Headline:
    if best := next(iter(leaders(trials)), None):
        done = sum(finite_score(trial) is not None for trial in trials)
        sentence = (
            f"This study is not finished: the best of {plural(done, 'complete trial')} so far "
            f"scores {wording.score(best.score)}."
        )
        return Headline(sentence, best.description, "unfinished")
    kinds = Counter(t.failure_kind for t in trials if t.state is TrialState.FAILED)
    if not kinds:
        return Headline("This study has no finished trial yet.", "", "unfinished")
    kind, _ = kinds.most_common(1)[0]
    failed = plural(kinds.total(), "trial")
    sentence = f"No strategy could be scored: {failed} failed, most often by {kind or 'unknown'}."
    return Headline(sentence, "", "failed")
