"""How numbers and verdicts are put into words, the same everywhere in a report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.report.leaderboard import finite_score
from automl_xfer.study.records import StudyRecord, TrialRecord

_MINUS = "−"


@dataclass(frozen=True)
class ScoreWording:
    """Scores as percentages, or as plain numbers where they are no fraction of anything."""

    percent: bool

    def score(self, value: float | None) -> str:
        """`76.0 %`, `0.760`, or a dash for a missing or non-finite value."""
        if value is None or not math.isfinite(value):
            return "–"
        return _signed(f"{100 * value:.1f}\u00a0%" if self.percent else f"{value:.3f}")

    def score_with_interval(self, value: float, ends: Sequence[float] | None) -> str:
        """`76.0 % (95 % interval 71.2 to 80.1)`, or the score alone."""
        interval = self.interval(ends)
        return self.score(value) + (f" (95\u00a0% interval {interval})" if interval else "")

    def gain(self, value: float | None) -> str:
        """`+5.1 points` or `+0.051`."""
        if value is None or not math.isfinite(value):
            return "–"
        return _signed(f"{100 * value:+.1f}\u00a0points" if self.percent else f"{value:+.3f}")

    def interval(self, ends: Sequence[float] | None) -> str:
        """`71.2 to 80.1`, without a unit; empty when there is no interval."""
        return self._ends(ends, "")

    def gain_interval(self, ends: Sequence[float] | None) -> str:
        """`+2.0 to +8.3`, without a unit; empty when there is no interval."""
        return self._ends(ends, "+")

    def _ends(self, ends: Sequence[float] | None, sign: str) -> str:
        if ends is None or not is_interval(ends):
            return ""
        scale, digits = (100, 1) if self.percent else (1, 3)
        return _signed(" to ".join(f"{scale * end:{sign}.{digits}f}" for end in ends))


def score_wording(study: StudyRecord, trials: Sequence[TrialRecord]) -> ScoreWording:
    """Percent for metrics in 0..1; a study without target labels ranks by a validator instead."""
    labelled = has_target_labels(study)
    scores = [score for trial in trials if (score := finite_score(trial)) is not None]
    return ScoreWording(percent=labelled and all(0 <= score <= 1 for score in scores))


def has_target_labels(study: StudyRecord) -> bool:
    """Whether the search could see target labels; taken as yes where the facts do not say."""
    known = [study.facts[key] for key in ("n_train", "n_val") if key in study.facts]
    return not known or any(known)


def is_interval(ends: Sequence[float] | None) -> bool:
    """Whether `ends` is a pair of finite numbers."""
    return ends is not None and len(ends) == 2 and all(math.isfinite(end) for end in ends)


def verdict(gain_interval: Sequence[float] | None) -> str:
    """The winner against a baseline, in words, from the interval of winner minus baseline."""
    if gain_interval is None or not is_interval(gain_interval):
        return "no interval"
    low, high = gain_interval
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no clear difference"


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `7 min 5 s` or `2 h 3 min`."""
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`, `3 classes`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)
