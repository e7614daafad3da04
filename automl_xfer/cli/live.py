"""What a running search shows: a live view on a terminal, plain lines on a pipe or in CI."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from automl_xfer.search.events import (
    Event,
    Note,
    PhaseStarted,
    Progress,
    TrialFinished,
    TrialStarted,
)
from automl_xfer.study.records import TrialRecord, TrialState

_LAST_TRIALS = 6
_SILENCE_SECONDS = 10.0
"""Lines about progress come no more often than this."""


def make_view(
    console: Console,
    *,
    quiet: bool = False,
    verbose: bool = False,
    deadline_seconds: float | None = None,
) -> "LiveView | PlainLines":
    """The view that suits `console`: both kinds are context managers and event listeners.

    `quiet` leaves warnings only, `verbose` tells every trial.
    """
    live = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
    if live and not quiet:
        return LiveView(console, verbose=verbose, deadline_seconds=deadline_seconds)
    return PlainLines(console, quiet=quiet, verbose=verbose, deadline_seconds=deadline_seconds)


def _is_percentage(event: TrialFinished) -> bool:
    """Whether the scores are fractions: without target labels they are not, nor have intervals."""
    return event.best_interval is not None


def _is_tie(best: TrialRecord, before: TrialRecord) -> bool:
    return best.score == before.score and best.complexity < before.complexity


class PlainLines:
    """One line per phase, new best, failed trial and note; a heartbeat every `every` trials."""

    def __init__(
        self,
        console: Console,
        *,
        quiet: bool = False,
        verbose: bool = False,
        deadline_seconds: float | None = None,
        every: int = 10,
    ) -> None:
        self._console = console
        self._quiet = quiet
        self._verbose = verbose
        self._clock = _Clock(deadline_seconds)
        self._percent = False
        self._every = every
        self._silent_until = _SILENCE_SECONDS
        self._done = 0
        self._best: TrialRecord | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put back: lines stay where they are."""

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        match event:
            case Note(message, warning=True):
                self._line(f"warning: {message}")
            case _ if self._quiet:
                return
            case Note(message):
                self._line(message)
            case PhaseStarted(phase, detail):
                self._line(f"{phase}: {detail}" if detail else phase)
            case Progress(done, total) if self._clock.spent() > self._silent_until:
                self._line(f"{done} of {total} images read")
            case TrialFinished():
                self._finished(event)

    def _finished(self, event: TrialFinished) -> None:
        self._done += 1
        record, best = event.record, event.best
        self._percent = _is_percentage(event)
        before, self._best = self._best, best
        if best is not None and best.id == record.id and (before is None or best.id != before.id):
            what = "as good and simpler:" if before and _is_tie(best, before) else "new best"
            interval = _interval(event.best_interval, self._percent)
            self._line(f"{what} {_score(best.score, self._percent)}{interval}  {best.description}")
        elif record.state is TrialState.FAILED:
            reason = f": {record.failure_message}" if record.failure_message else ""
            self._line(f"failed ({_outcome(record, self._percent)})  {record.description}{reason}")
        elif self._verbose:
            self._line(f"{_outcome(record, self._percent)}  {record.description}")
        if self._done % self._every == 0:
            best_score = f", best {_score(best.score, self._percent)}" if best else ""
            self._line(f"{self._done} trials done{best_score}{self._clock.left(', ')}")

    def _line(self, text: str) -> None:
        stamp = _minutes(self._clock.spent())
        self._silent_until = self._clock.spent() + _SILENCE_SECONDS
        self._console.print(_plain(f"[{stamp}] {text}"), soft_wrap=True, highlight=False)


class LiveView:
    """Redrawn in place: phase, trials done, time left, best so far and the last few trials.

    Notes and warnings are printed above it and stay. Events may come from any thread.
    """

    def __init__(
        self,
        console: Console,
        *,
        verbose: bool = False,
        deadline_seconds: float | None = None,
    ) -> None:
        self._console = console
        self._verbose = verbose
        self._clock = _Clock(deadline_seconds)
        self._percent = False
        self._lock = threading.Lock()
        self._phase = PhaseStarted("starting")
        self._now: TrialStarted | None = None
        self._best: TrialFinished | None = None
        self._last: deque[TrialRecord] = deque(maxlen=_LAST_TRIALS)
        self._done = 0
        self._live = Live(
            console=console, get_renderable=self.render, refresh_per_second=4, transient=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw the last state once more and give the terminal back."""
        with self._lock:
            self._now = None
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take in one event; the next redraw shows it."""
        match event:
            case Note(message, warning):
                self._above(message, "yellow" if warning else "")
            case TrialFinished(record) if record.state is TrialState.FAILED and self._verbose:
                told = f"{_outcome(record, self._percent)}: {record.failure_message or ''}"
                self._above(f"{record.description}: {told}", "red")
        with self._lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case PhaseStarted():
                self._phase, self._now = event, None
            case Progress(done, total):
                self._phase = PhaseStarted("data", f"{done} of {total} images read")
            case TrialStarted():
                self._now = event
            case TrialFinished(record, best):
                self._now = None
                self._done += 1
                self._last.appendleft(record)
                if best is not None:
                    self._best, self._percent = event, _is_percentage(event)

    def render(self) -> RenderableType:
        """The view at this moment."""
        with self._lock:
            return Group(self._status(), *self._rows())

    def _status(self) -> Text:
        line = _plain(self._phase.phase)
        line.stylize("bold")
        trials = f"{self._done} trial{'' if self._done == 1 else 's'} done"
        line.append(f"  ·  {trials}{self._clock.left('  ·  ')}", "not bold")
        if self._phase.detail:
            line.append("  ·  ").append_text(_plain(self._phase.detail))
        return _one_line(line)

    def _rows(self) -> Iterator[Text]:
        if self._best is not None and self._best.best is not None:
            best = self._best.best
            score = _score(best.score, self._percent)
            score += _interval(self._best.best_interval, self._percent)
            yield _row("best", score, "bold green", best.description)
        if self._now is not None:
            yield _row("now", "running", "cyan", self._now.description)
        for record in self._last:
            number = "–" if record.number is None else str(record.number)
            style = _STYLES.get(record.state, "")
            yield _row(number, _outcome(record, self._percent), style, record.description)

    def _above(self, message: str, style: str) -> None:
        text = _plain(message)
        text.stylize(style)
        self._console.print(text)


_STYLES = {TrialState.FAILED: "red", TrialState.PRUNED: "dim"}


class _Clock:
    """Time since it was made, and time left to a deadline in seconds, if there is one."""

    def __init__(self, deadline_seconds: float | None) -> None:
        self._start = time.monotonic()
        self._deadline = deadline_seconds

    def spent(self) -> float:
        return time.monotonic() - self._start

    def left(self, before: str) -> str:
        if self._deadline is None:
            return f"{before}{_minutes(self.spent())} spent"
        return f"{before}{_minutes(max(0.0, self._deadline - self.spent()))} left"


def _row(label: str, outcome: str, style: str, description: str) -> Text:
    row = Text.assemble((f"{label:>4}  ", "dim"), (f"{outcome:<13}  ", style))
    return _one_line(row.append_text(_plain(description)))


def _plain(text: str) -> Text:
    """Text as it stands: markup is not read, and control characters can't reach the terminal."""
    return Text(
        "".join(
            c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}"
            for c in text
        )
    )


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _outcome(record: TrialRecord, percent: bool) -> str:
    if record.state is TrialState.COMPLETE:
        return _score(record.score, percent)
    return str(record.failure_kind or record.state)


def _score(score: float | None, percent: bool) -> str:
    if score is None:
        return "no score"
    return f"{100 * score:.1f} %" if percent else f"{score:.3f}"


def _interval(ends: tuple[float, float] | None, percent: bool) -> str:
    if ends is None:
        return ""
    low, high = (f"{100 * end:.1f}" if percent else f"{end:.3f}" for end in ends)
    return f" ({low} to {high})"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
