"""Child processes: what may crash, hang or run out of memory runs in one of its own."""

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import psutil

from automl_xfer.errors import AutomlXferError, Stopped
from automl_xfer.study.records import FailureKind

_PRELOAD = ["automl_xfer.search.preload"]
_POLL_SECONDS, _ANSWER_SECONDS = 0.2, 2.0

_MOST_SERVED, _MOST_MEMORY = 200, 2 * 2**30
"""A child that ran so often or holds so many bytes is not used again."""


class ChildFailure(AutomlXferError):  # noqa: N818 - pairs with FailureKind
    """A child did not finish: how (`kind`), what it said and its traceback, if it had one."""

    def __init__(self, kind: FailureKind, message: str, trace: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace


class StopRequested(Stopped):
    """The user asked to stop; a child that was running is gone."""


@dataclass(frozen=True)
class Channel:
    """The child's end of the pipe."""

    connection: Connection

    def ask(self, message: object) -> Any:
        """Send a message and wait for the parent's answer."""
        self.connection.send(("ask", message))
        return self.connection.recv()


def run_in_child(
    function: Callable[[Any, Channel], Any],
    argument: object,
    *,
    timeout: float,
    answer: Callable[[Any], Any] = lambda message: None,
    answered: Callable[[Any], None] = lambda message: None,
    meanwhile: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Any:
    """Run `function(argument, channel)` in a child process and return its result.

    A child that has done well is used again, which spares loading; one that failed in any way is
    gone. `answer` replies to the child's `channel.ask`, and `answered` is called with the same
    message while the child goes on; `meanwhile` is called once when it has begun. Raises
    ChildFailure when the child raises, dies or takes longer than `timeout` seconds from now,
    StopRequested when `should_stop` turns true.
    """
    child = _at_work(function, argument)
    try:
        deadline = time.monotonic() + timeout
        meanwhile()
        result = _converse(child.process, child.connection, deadline, answer, answered, should_stop)
    except BaseException:
        child.end()
        raise
    child.served += 1
    if child.served < _MOST_SERVED and child.memory < _MOST_MEMORY:
        _idle.append(child)
    else:
        child.end()
    return result


def begin_in_child(function: Callable[[Any, Channel], Any], argument: object) -> None:
    """Let a child begin now; it goes on in `run_in_child` if that is given this very `argument`."""
    _begun.append((_at_work(function, argument), argument))


@dataclass
class _Child:
    """A process that waits for work at the other end of a pipe."""

    process: Any
    connection: Connection
    served: int = 0

    @property
    def memory(self) -> int:
        """Bytes that it holds now, mapped files left out where the system tells them apart."""
        try:
            held = psutil.Process(self.process.pid).memory_info()
        except psutil.NoSuchProcess:
            return 0
        return int(held.rss - getattr(held, "shared", 0))

    def answers(self) -> bool:
        """Whether it still lives, which only its answer tells at once."""
        try:
            self.connection.send(None)
            return self.connection.poll(_ANSWER_SECONDS) and self.connection.recv() is None
        except (EOFError, ConnectionError):
            return False

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


_idle: list[_Child] = []
_begun: list[tuple[_Child, object]] = []  # with its argument; one at most


@atexit.register
def end_idle_children() -> None:
    """End the children that wait to be used again, and what was begun in vain."""
    end_begun()
    while _idle:
        _idle.pop().end()


def end_begun() -> None:
    """End what was begun in vain."""
    while _begun:
        _begun.pop()[0].end()


def _at_work(function: Callable[[Any, Channel], Any], argument: object) -> _Child:
    """A child that works on this argument, since earlier or from now on."""
    while _begun:
        child, begun = _begun.pop()
        if begun is argument:
            return child
        child.end()
    child = _ready()
    try:
        child.connection.send((function, argument))
    except BaseException:
        child.end()
        raise
    return child


def _ready() -> _Child:
    """One that waits and still lives, or a new one."""
    while _idle:
        child = _idle.pop()
        if child.answers():
            return child
        child.end()
    return _start()


def prepare_children() -> None:
    """Start what children are forked from, which imports the libraries meanwhile; returns at once.

    Ctrl-C does not reach it: the parent decides.
    """
    # A thread that waits busily takes the core from another process for which its own team waits.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    multiprocessing.set_forkserver_preload(_PRELOAD)
    resource_tracker.ensure_running()  # which would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> _Child:
    prepare_children()
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child_main, args=(theirs,))
    process.start()
    theirs.close()
    return _Child(process, ours)


def _converse(
    process: Any,
    connection: Connection,
    deadline: float,
    answer: Callable[[Any], Any],
    answered: Callable[[Any], None],
    should_stop: Callable[[], bool],
) -> Any:
    while True:
        if should_stop():
            raise StopRequested("stopped by the user")
        if time.monotonic() > deadline:
            raise ChildFailure(FailureKind.TIMEOUT, "stopped at the time limit")
        if not connection.poll(_POLL_SECONDS):
            continue
        try:
            kind, message = connection.recv()
            if kind == "ask":
                connection.send(answer(message))
                answered(message)
                continue
        except (EOFError, ConnectionError):
            process.join(5)
            raise ChildFailure(FailureKind.CRASH, _death(process.exitcode)) from None
        if kind == "failed":
            raise ChildFailure(*message)
        return message


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (often: the machine ran out of memory)" if name == "SIGKILL" else ""
        return f"the trial's process was ended by {name}{hint}"
    return f"the trial's process ended by itself with exit code {exit_code}"


def _child_main(connection: Connection) -> None:
    """Entry of the child: ignore Ctrl-C (the parent decides), die with the parent, run, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    done = True
    while done:
        try:
            while (job := connection.recv()) is None:
                connection.send(None)  # the parent asks whether it lives
        except (EOFError, ConnectionError):
            return
        function, argument = job
        message, done = _outcome(function, argument, Channel(connection))
        with contextlib.suppress(BrokenPipeError):
            connection.send(message)
        free_gpu_memory()


def _outcome(
    function: Callable[[Any, Channel], Any], argument: object, channel: Channel
) -> tuple[tuple[str, Any], bool]:
    """(what to tell the parent, whether all went well)."""
    try:
        return ("done", function(argument, channel)), True
    except BaseException as error:
        return ("failed", (classify(error), _say(error), traceback.format_exc())), False


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _say(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    if text and isinstance(error, AutomlXferError):
        return text[0]  # a sentence for users already
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def free_gpu_memory() -> None:
    """What an idle process keeps of a GPU another one may need."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def classify(error: BaseException) -> FailureKind:
    """The kind of failure that an exception in a child stands for."""
    import torch

    from automl_xfer.errors import DataError
    from automl_xfer.transfer.gradient import NonFiniteLossError

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, NonFiniteLossError):
        return FailureKind.NAN
    if isinstance(error, DataError | OSError):
        return FailureKind.DATA_ERROR
    return FailureKind.PLUGIN_ERROR
