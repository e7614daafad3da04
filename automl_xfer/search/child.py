"""Child processes: what may crash, hang or run out of memory runs in one of its own."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from automl_xfer.errors import AutomlXferError, Stopped
from automl_xfer.study.records import FailureKind

_PRELOAD = ["automl_xfer.search.preload"]
_POLL_SECONDS = 0.2


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
    should_stop: Callable[[], bool] = lambda: False,
) -> Any:
    """Run `function(argument, channel)` in a fresh process and return its result.

    `answer` replies to the child's `channel.ask`. Raises ChildFailure when the child raises,
    dies or takes longer than `timeout` seconds, StopRequested when `should_stop` turns true.
    """
    # A thread that waits busily takes the core from another process for which its own team waits.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the fork server starts
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    ours, theirs = context.Pipe()
    process = context.Process(target=_child_main, args=(function, argument, theirs))
    process.start()
    theirs.close()
    try:
        return _converse(process, ours, time.monotonic() + timeout, answer, should_stop)
    finally:
        _end(process)
        ours.close()


def _converse(
    process: Any,
    connection: Connection,
    deadline: float,
    answer: Callable[[Any], Any],
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


def _end(process: Any) -> None:
    """Make sure that the child is gone."""
    if process.is_alive():
        process.kill()
    process.join()


def _child_main(
    function: Callable[[Any, Channel], Any], argument: object, connection: Connection
) -> None:
    """Entry of the child: ignore Ctrl-C (the parent decides), die with the parent, run, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        message: tuple[str, Any] = ("done", function(argument, Channel(connection)))
    except BaseException as error:
        message = ("failed", (classify(error), _say(error), traceback.format_exc()))
    with contextlib.suppress(BrokenPipeError):
        connection.send(message)


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
