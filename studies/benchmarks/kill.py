"""kill -9 of a search, ten times at random moments: nothing finished is lost.

    python studies/benchmarks/kill.py [--times 10] [--seed 0]

Lets the search of `automl-xfer demo` finish four trials, starts it again, kills it without warning
while a trial runs, looks at the study database, and gives the same command again. After every kill:
each trial that was finished before is there with the same score, and the trial in hand is recorded
as interrupted by the next start. At the end the command is left alone and must write a bundle.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from automl_xfer.data.demo import write_demo_data
from automl_xfer.study.records import FailureKind, TrialRecord, TrialState
from automl_xfer.study.store import StudyStore


def main() -> None:
    """Kill, look, go on; print a row for each kill and a verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    folder = Path(tempfile.mkdtemp())
    write_demo_data(folder / "data")
    begin = [*command(folder, "180s"), "--trials", "4"]
    subprocess.run(begin, cwd=folder, check=True, capture_output=True)
    print("| kill | after | finished before | finished after | all there | interrupted so far |")
    print("| --- | --- | --- | --- | --- | --- |")
    for number in range(1, arguments.times + 1):
        kill_once(folder, number)
    last = subprocess.run(command(folder, "120s"), cwd=folder, capture_output=True, text=True)
    interrupted = [t for t in trials(folder) if t.failure_kind is FailureKind.INTERRUPTED]
    bundle = (folder / "studies" / "killed" / "bundle" / "bundle.json").exists()
    print(f"\nleft alone: exit code {last.returncode}, bundle written: {bundle}")
    print(f"interrupted trials on record: {len(interrupted)} of {arguments.times} kills")
    running = [trial for trial in trials(folder) if trial.state is TrialState.RUNNING]
    if last.returncode or not bundle or running:
        sys.exit(f"FAILED: {last.stderr[-500:]}, still running: {running}")


def command(folder: Path, time_limit: str) -> list[str]:
    """The search that is killed and given again."""
    return [
        *(sys.executable, "-m", "automl_xfer", "search", "--study", "killed"),
        *("--target", str(folder / "data" / "task.csv"), "--time-limit", time_limit),
        *("--backbone", "small-convnet", "--image-size", "32"),
    ]


def kill_once(folder: Path, number: int) -> None:
    """Start, wait for a running trial and a random moment more, kill, and compare."""
    process = subprocess.Popen(
        command(folder, "600s"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    started = time.monotonic()
    before: dict[int, TrialRecord] = {}
    deadline = None
    while deadline is None or time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"FAILED: the search ended by itself with {process.returncode}")
        now = trials(folder)
        before = finished(now)
        if deadline is None and any(is_ours(trial, process.pid) for trial in now):
            deadline = time.monotonic() + random.uniform(0.0, 20.0)
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    seconds = time.monotonic() - started
    _, alive = psutil.wait_procs(children, timeout=240)
    if alive:
        sys.exit(f"FAILED: children outlived their parent: {[p.cmdline()[-1:] for p in alive]}")
    now = trials(folder)
    after = finished(now)
    kept = all(after.get(key) == record for key, record in before.items())
    interrupted = sum(trial.failure_kind is FailureKind.INTERRUPTED for trial in now)
    print(
        f"| {number} | {seconds:.1f} s | {len(before)} | {len(after)} | {kept} | {interrupted} |",
        flush=True,
    )
    if not kept:
        sys.exit("FAILED: a finished trial was lost or changed")


def is_ours(trial: TrialRecord, pid: int) -> bool:
    """Whether this process is running the trial."""
    return trial.state is TrialState.RUNNING and f":{pid}:" in trial.worker


def trials(folder: Path) -> list[TrialRecord]:
    """What the study database holds now."""
    database = folder / "studies" / "studies.db"
    if not database.exists():
        return []
    store = StudyStore(f"sqlite:///{database}")
    try:
        return store.trials("killed")
    finally:
        store.close()


def finished(records: list[TrialRecord]) -> dict[int, TrialRecord]:
    """Complete and pruned trials by id."""
    done = (TrialState.COMPLETE, TrialState.PRUNED)
    return {record.id: record for record in records if record.state in done}


if __name__ == "__main__":
    main()
