"""Which process runs a trial, and whether it still lives."""

import os
import platform
from functools import cache

import psutil

_CLOCK_SLACK_SECONDS = 2.0  # a corrected clock moves the start time that psutil reports


def current_worker() -> str:
    """This process as host:pid:start-time; the start time tells a reused pid apart."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{platform.node()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def is_alive(worker: str) -> bool | None:
    """Whether the process runs; None when it is another host's, or none was named."""
    host, pid, started = [*worker.rsplit(":", 2), "", ""][:3]
    if host != platform.node() or not pid:
        return None
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - float(started)) < _CLOCK_SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
