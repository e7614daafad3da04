"""The live view and the plain lines: what a person or a log sees of a search."""

import io

import pytest
from rich.console import Console

from automl_xfer.cli.live import LiveView, PlainLines, make_view
from automl_xfer.search.events import Note, PhaseStarted, Progress, TrialFinished, TrialStarted
from automl_xfer.study.records import FailureKind, Role, TrialRecord, TrialState


def record(number: int, **changes) -> TrialRecord:
    values = {
        "id": number,
        "study": "s",
        "number": number,
        "role": Role.SEARCH,
        "strategy": {},
        "description": f"resnet18 · lp-ft {number}",
        "state": TrialState.COMPLETE,
        "seed": 0,
        "score": 0.7,
    }
    return TrialRecord(**(values | changes))


def failed(number: int) -> TrialRecord:
    return record(
        number,
        state=TrialState.FAILED,
        score=None,
        failure_kind=FailureKind.OUT_OF_MEMORY,
        failure_message="needs 9 GB",
    )


def piped(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width)


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def text(console: Console) -> str:
    return console.file.getvalue()


@pytest.fixture(autouse=True)
def not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_the_view_suits_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_view(terminal()), LiveView)
    assert isinstance(make_view(piped()), PlainLines)
    assert isinstance(make_view(terminal(), quiet=True), PlainLines)
    monkeypatch.setenv("CI", "true")
    assert isinstance(make_view(terminal()), PlainLines)


def test_plain_lines_tell_phases_bests_failures_and_a_heartbeat() -> None:
    console = piped()
    with PlainLines(console, every=3, deadline_seconds=600) as view:
        view(PhaseStarted("search", "until 10:00"))
        first, second = record(1), record(2, score=0.6)
        view(TrialStarted(1, first.description))
        view(TrialFinished(first, first, (0.65, 0.75)))
        view(TrialFinished(second, first, (0.65, 0.75)))
        view(TrialFinished(failed(3), first, (0.65, 0.75)))
    lines = text(console).splitlines()
    assert [line.split("] ", 1)[1] for line in lines[:3]] == [
        "search: until 10:00",
        "new best 70.0 % (65.0 to 75.0)  resnet18 · lp-ft 1",
        "failed (out-of-memory)  resnet18 · lp-ft 3: needs 9 GB",
    ]
    assert "3 trials done, best 70.0 %, " in lines[3] and lines[3].endswith(" left")
    assert len(lines) == 4


def test_quiet_leaves_warnings_only_and_verbose_tells_every_trial() -> None:
    events = [
        Note("for your information"),
        Note("disk is nearly full", warning=True),
        TrialFinished(record(1, score=0.5), record(0)),
    ]
    quiet, verbose = piped(), piped()
    for event in events:
        PlainLines(quiet, quiet=True)(event)
        PlainLines(verbose, verbose=True)(event)
    assert text(quiet).splitlines() == ["[0:00] warning: disk is nearly full"]
    assert len(text(verbose).splitlines()) == 3


def test_a_simpler_one_with_the_best_score_is_no_new_best() -> None:
    console = piped()
    with PlainLines(console) as view:
        for number, score, complexity in ((1, 0.9, 5), (2, 0.9, 4), (3, 0.95, 4)):
            each = record(number, score=score, complexity=complexity)
            view(TrialFinished(each, each, (0.8, 1.0)))
    told = [line.split("] ", 1)[1] for line in text(console).splitlines()]
    assert [line.split(" (")[0] for line in told] == [
        "new best 90.0 %",
        "as good and simpler: 90.0 %",
        "new best 95.0 %",
    ]


def test_scores_without_labels_are_no_percentages() -> None:
    console = piped()
    best = record(1, score=0.812)
    PlainLines(console)(TrialFinished(best, best))
    assert "new best 0.812" in text(console)


def test_markup_and_control_characters_of_users_stay_harmless() -> None:
    nasty = "[bold]x[/bold] [/] \x1b[2J\n[link=http://a]"
    for console in (piped(200), terminal(200)):
        with make_view(console, verbose=True) as view:
            view(Note(nasty, warning=True))
            view(PhaseStarted(nasty, nasty))
            view(TrialStarted(1, nasty))
            view(TrialFinished(record(1, description=nasty), None))
        assert "[bold]x[/bold] [/] �[2J [link=http://a]" in text(console)
        assert "\x1b[2J" not in text(console)


def test_a_line_of_a_log_is_not_broken_however_narrow() -> None:
    console = piped(width=20)
    best = record(1, description="a long strategy " * 10)
    PlainLines(console)(TrialFinished(best, best))
    assert len(text(console).splitlines()) == 1


def test_reading_the_images_is_shown_but_does_not_flood_a_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, log, now = terminal(), piped(), 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    view, lines = LiveView(live), PlainLines(log)
    for done in range(1, 26):
        now += 1.0
        view(Progress(done, 25))
        lines(Progress(done, 25))
    live.print(view.render())
    assert "25 of 25 images read" in text(live)
    assert [line.split("] ")[1] for line in text(log).splitlines()] == [
        "11 of 25 images read",
        "22 of 25 images read",
    ]


def test_live_view_shows_the_state_of_the_search() -> None:
    console = terminal(100)
    view = LiveView(console, deadline_seconds=600)
    best = record(4, score=0.76)
    view(PhaseStarted("search"))
    view(TrialFinished(best, best, (0.7, 0.8)))
    view(TrialFinished(failed(5), best, (0.7, 0.8)))
    view(TrialFinished(record(6, state=TrialState.PRUNED, score=None), best, (0.7, 0.8)))
    view(TrialStarted(7, "vit_small · dann"))
    console.print(view.render())
    shown = [" ".join(line.split()) for line in text(console).splitlines()]
    assert shown[0].startswith("search · 3 trials done · ") and shown[0].endswith(" left")
    assert shown[1:] == [
        "best 76.0 % (70.0 to 80.0) resnet18 · lp-ft 4",
        "now running vit_small · dann",
        "6 pruned resnet18 · lp-ft 6",
        "5 out-of-memory resnet18 · lp-ft 5",
        "4 76.0 % resnet18 · lp-ft 4",
    ]


def test_live_view_truncates_to_a_narrow_terminal() -> None:
    console = terminal(40)
    view = LiveView(console)
    long = record(1, description="mobilenetv2_100.ra_in1k · " * 6)
    view(PhaseStarted("finalists", "again with other seeds and folds " * 3))
    view(TrialFinished(long, long, (0.6, 0.8)))
    console.print(view.render())
    lines = text(console).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].rstrip().endswith("…") and "70.0 %" in lines[1]


def test_notes_are_kept_above_and_only_the_last_trials_are_shown() -> None:
    console = terminal(80)
    with make_view(console, deadline_seconds=60) as view:
        view(Note("no hub: use --weights-dir", warning=True))
        for number in range(20):
            view(TrialFinished(record(number), None))
    assert "no hub: use --weights-dir" in text(console)
    last = text(console).split("20 trials done")[-1]
    assert "lp-ft 19" in last and "lp-ft 14" in last and "lp-ft 13" not in last
