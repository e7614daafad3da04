"""Where the marks of the charts go, in percent of the plot; the templates draw them as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from matplotlib.ticker import MaxNLocator

from automl_xfer.report.leaderboard import finite_score
from automl_xfer.report.wording import ScoreWording, is_interval
from automl_xfer.study.records import BaselineResult, Role, TrialRecord, TrialState, WinnerResult

_IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Scale:
    """Maps low..high to 0..100 %, with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Position of `value` in percent, cut off at the ends of the plot."""
        return round(min(max((value - self.low) / (self.high - self.low), 0.0), 1.0) * 100, 2)


def scale(
    values: Iterable[float], bins: int = 5, within: tuple[float, float] | None = None
) -> Scale:
    """A scale with round ticks around `values`; `within` bounds how far it may reach."""
    low, high = _range(list(values))
    ticks = MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    if within:
        ticks = [tick for tick in ticks if within[0] - 1e-9 <= tick <= within[1] + 1e-9]
    if len(ticks) < 2:
        ticks = [low, high]
    return Scale(float(ticks[0]), float(ticks[-1]), tuple(float(tick) for tick in ticks))


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high - low > 1e-6 else (low - 0.05, high + 0.05)


@dataclass(frozen=True)
class ScoreRow:
    """One line of the dot chart: a score, and from where to where its whisker goes."""

    name: str
    x: float
    whisker: tuple[float, float] | None
    label: str
    winner: bool


@dataclass(frozen=True)
class ScoreChart:
    """The winner above the baselines on one scale of scores."""

    rows: tuple[ScoreRow, ...]
    ticks: tuple[tuple[float, str], ...]
    reference: float


def score_chart(
    winner: WinnerResult, baselines: Sequence[BaselineResult], wording: ScoreWording
) -> ScoreChart:
    """Dots with intervals: the winner's own, and each baseline's paired distance to the winner.

    A baseline's whisker spans winner - gain interval, so that it crosses the winner's line just
    where the two can't be told apart.
    """
    top = winner["score"]
    own = winner["interval"] if is_interval(winner["interval"]) else None
    found: list[tuple[str, float, Sequence[float] | None]] = [("winner", top, own)]
    for baseline in baselines:
        if baseline["score"] is not None:
            gain = baseline["gain_interval"]
            paired = [top - gain[1], top - gain[0]] if gain and is_interval(gain) else None
            found.append((baseline["name"], baseline["score"], paired))
    values = [end for _, score, ends in found for end in (score, *(ends or ()))]
    axis = scale(values, within=(0.0, 1.0) if wording.percent else None)
    rows = tuple(
        ScoreRow(
            name,
            axis.at(score),
            (axis.at(ends[0]), axis.at(ends[1])) if ends else None,
            wording.score(score),
            winner=index == 0,
        )
        for index, (name, score, ends) in enumerate(found)
    )
    return ScoreChart(rows, _labels(axis, wording), axis.at(top))


@dataclass(frozen=True)
class Marker:
    """One trial; `kind` is its role, or `pruned` or `failed`. y runs downwards, as in SVG."""

    x: float
    y: float
    kind: str
    label: str


@dataclass(frozen=True)
class Timeline:
    """Trials over time, and the best score so far as horizontal runs (x from, x to, y)."""

    markers: tuple[Marker, ...]
    runs: tuple[tuple[float, float, float], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    n_below: int
    """Trials that score so low that they would squash the rest: drawn on the floor."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of marker in the chart, for its legend."""
        found = {marker.kind for marker in self.markers}
        return tuple(kind for kind in (*Role, "pruned", "failed") if str(kind) in found)


def timeline(trials: Sequence[TrialRecord], wording: ScoreWording) -> Timeline | None:
    """Every ended trial at the minute it ended, idle time left out; None without any score."""
    ended = [trial for trial in trials if trial.state is not TrialState.RUNNING]
    scores = [score for trial in ended if (score := finite_score(trial)) is not None]
    if not scores:
        return None
    clock, unit = _clock(ended)
    x_axis = _from_zero(max(clock.values()))
    near = _near(scores)
    y_axis = scale(near, within=(0.0, 1.0) if wording.percent else None)
    ended.sort(key=lambda trial: (clock[trial.id], trial.id))
    return Timeline(
        tuple(_marker(t, x_axis.at(clock[t.id]), y_axis, wording) for t in ended),
        _best_so_far(ended, clock, x_axis, y_axis),
        tuple((x_axis.at(tick), f"{tick:g}") for tick in x_axis.ticks),
        tuple((100 - at, label) for at, label in _labels(y_axis, wording)),
        unit,
        sum(score < y_axis.low for score in scores),
    )


def _near(scores: Sequence[float]) -> list[float]:
    """The scores without those more than three interquartile ranges below the lower quartile."""
    lower, upper = np.quantile(scores, [0.25, 0.75])
    return [score for score in scores if score >= lower - 3 * (upper - lower)]


def _from_zero(high: float) -> Scale:
    high = high or 1.0
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(0.0, high)
    return Scale(0.0, high, tuple(float(tick) for tick in ticks if tick <= high))


def _marker(trial: TrialRecord, x: float, y_axis: Scale, wording: ScoreWording) -> Marker:
    score = finite_score(trial)
    if score is not None:
        label = f"{trial.description}: {wording.score(score)} ({trial.role})"
        return Marker(x, 100 - y_axis.at(score), str(trial.role), label)
    if trial.state is TrialState.PRUNED:
        y = 100 - y_axis.at(trial.steps[-1]) if trial.steps else 100.0
        return Marker(x, y, "pruned", f"{trial.description}: pruned")
    return Marker(x, 100.0, "failed", f"{trial.description}: {trial.failure_kind or 'failed'}")


def _best_so_far(
    ended: Sequence[TrialRecord], clock: dict[int, float], x_axis: Scale, y_axis: Scale
) -> tuple[tuple[float, float, float], ...]:
    climbs: list[tuple[float, float]] = []
    for trial in ended:
        score = finite_score(trial)
        # A repeat is the same strategy drawn again: the luckiest of several is no new best.
        if score is None or trial.repeats is not None:
            continue
        if not climbs or score > climbs[-1][1]:
            climbs.append((clock[trial.id], score))
    ends = [start for start, _ in climbs[1:]] + [max(clock.values())]
    return tuple(
        (x_axis.at(start), x_axis.at(end), 100 - y_axis.at(score))
        for (start, score), end in zip(climbs, ends, strict=True)
    )


def _clock(trials: Sequence[TrialRecord]) -> tuple[dict[int, float], str]:
    """Minutes of work before each trial ended; trial counts where a time is missing."""
    spans = [(_utc(t.started), _utc(t.finished), t.id) for t in trials if t.started and t.finished]
    if len(spans) < len(trials):
        in_order = sorted(trials, key=lambda trial: trial.id)
        return {t.id: float(index) for index, t in enumerate(in_order, 1)}, "trials"
    idle, reached = 0.0, min(start for start, _, _ in spans)
    origin, clock = reached, {}
    for start, end, trial in sorted(spans):
        gap = (start - reached).total_seconds()
        idle += gap if gap > _IDLE_SECONDS else 0.0
        clock[trial] = ((end - origin).total_seconds() - idle) / 60
        reached = max(reached, end)
    return clock, "minutes of work"


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _labels(axis: Scale, wording: ScoreWording) -> tuple[tuple[float, str], ...]:
    if wording.percent:
        return tuple((axis.at(tick), f"{100 * tick:g}\u00a0%") for tick in axis.ticks)
    return tuple((axis.at(tick), f"{tick:g}") for tick in axis.ticks)
