"""Children: one that did well serves again, one that failed in any way does not."""

import os
import pickle
import signal
import time

import psutil
import pytest

from automl_xfer.search import child
from automl_xfer.search.child import (
    ChildFailure,
    StopRequested,
    begin_in_child,
    end_idle_children,
    run_in_child,
)
from automl_xfer.study.records import FailureKind

_STATE = {"runs": 0}


def count(argument, channel):
    """(process, how often it ran here before)."""
    _STATE["runs"] += 1
    return os.getpid(), _STATE["runs"] - 1


def fail(argument, channel):
    raise ValueError("wrong")


def die(argument, channel):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(argument, channel):
    time.sleep(60)


def unpicklable(argument, channel):
    return lambda: None


def ask(argument, channel):
    return channel.ask(argument)


def ask_and_go_on(argument, channel):
    answer = channel.ask("may I?")
    argument.touch()
    return answer


def run(function, argument=None, timeout=60.0, **options):
    return run_in_child(function, argument, timeout=timeout, **options)


@pytest.fixture(autouse=True)
def no_child_left():
    end_idle_children()
    yield
    end_idle_children()


def test_a_child_that_did_well_serves_again():
    first, second = run(count), run(count)
    assert first[0] == second[0] != os.getpid()
    assert (first[1], second[1]) == (0, 1)
    assert run(ask, 3, answer=lambda message: message + 1) == 4


def test_what_follows_an_answer_is_done_while_the_child_goes_on(tmp_path):
    heard = []

    def answered(message):
        heard.append(message)
        deadline = time.monotonic() + 20
        while not (tmp_path / "on").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        heard.append((tmp_path / "on").exists())

    told = run(ask_and_go_on, tmp_path / "on", answer=lambda message: "yes", answered=answered)
    assert (told, heard) == ("yes", ["may I?", True])


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (fail, FailureKind.PLUGIN_ERROR),
        (die, FailureKind.CRASH),
        (unpicklable, FailureKind.CRASH),
        (sleep, FailureKind.TIMEOUT),
    ],
)
def test_one_that_failed_is_gone_and_the_next_is_fresh(function, kind):
    process, _ = run(count)
    with pytest.raises(ChildFailure) as caught:
        run(function, timeout=2.0 if function is sleep else 60.0)
    assert caught.value.kind is kind
    assert not child._idle
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert run(count)[0] != process


def test_a_request_to_stop_ends_the_child():
    process, _ = run(count)
    with pytest.raises(StopRequested):
        run(sleep, should_stop=lambda: True)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_child_killed_while_idle_costs_nothing():
    process, _ = run(count)
    os.kill(process, signal.SIGKILL)
    assert run(count)[0] != process  # at once: it may not be known as dead yet
    process, _ = run(count)
    os.kill(process, signal.SIGKILL)
    child._idle[0].process.join()
    assert run(count)[0] != process


def test_a_child_is_replaced_after_many_runs(monkeypatch):
    monkeypatch.setattr(child, "_MOST_SERVED", 2)
    processes = [run(count)[0] for _ in range(4)]
    assert processes[0] == processes[1] != processes[2] == processes[3]


def write_pid(argument, channel):
    argument.write_text(str(os.getpid()))
    return channel.ask("may I?")


def pid_in(path):
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(path.read_text())


def test_what_was_begun_goes_on_where_it_is_asked_for(tmp_path):
    run(count)  # the child that begins served before
    begin_in_child(write_pid, tmp_path / "other")  # in vain
    other = pid_in(tmp_path / "other")
    given = tmp_path / "pid"
    begin_in_child(write_pid, given)
    began = pid_in(given)
    given.unlink()
    assert run(write_pid, given, answer=lambda message: "yes") == "yes"
    assert not given.exists()  # not once more
    assert not psutil.pid_exists(other)
    assert run(count)[0] == began  # and serves again


def test_what_was_begun_is_gone_where_something_else_is_asked_for(tmp_path):
    for end in (lambda: run(count), end_idle_children):
        given = tmp_path / "pid"
        begin_in_child(write_pid, given)
        began = pid_in(given)
        given.unlink()
        end()
        assert not psutil.pid_exists(began)


def die_at_first(argument, channel):
    if not argument.exists():
        argument.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def test_what_died_after_it_was_begun_is_told_where_it_is_asked_for(tmp_path):
    given = tmp_path / "died"
    begin_in_child(die_at_first, given)
    with pytest.raises(ChildFailure) as caught:
        run(die_at_first, given)
    assert caught.value.kind is FailureKind.CRASH
    assert run(die_at_first, given) == "lived"


def test_what_cannot_be_sent_is_not_begun():
    run(count)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        begin_in_child(count, lambda: None)
    assert run(ask, 1, answer=lambda message: message) == 1
