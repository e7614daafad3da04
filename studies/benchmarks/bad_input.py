"""Bad input of every kind, given to the real command line: does each get one clear sentence?

    python studies/benchmarks/bad_input.py [WORD]    # WORD: only the kinds that contain it

Prints a Markdown table and exits with 1 when a kind ends in a traceback, in the wrong exit code,
in a wall of text, after more than a minute, or without the words that help. Kinds that need a
mounted drive are skipped, and said to be, unless the script runs as root on Linux.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import bad_input_kinds as kinds
from bad_input_world import World

SECONDS, LINES = 60, 6
SEARCH_SECONDS = 75  # of a search that goes on, with a limit of 60 s and Python's own start
COMMAND = (sys.executable, "-m", "automl_xfer")


@dataclass(frozen=True)
class Answer:
    """What the command line did."""

    exit_code: int
    output: str
    errors: str
    seconds: float


def call(arguments: tuple[str, ...], *, offline: bool = False) -> Answer:
    """Run the command line as a user does; `offline` points the hub to a port where nobody is."""
    environment = {**os.environ, "COLUMNS": "250"}
    if offline:
        cache = tempfile.mkdtemp()
        environment |= {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": cache, "TORCH_HOME": cache}
    started = perf_counter()
    try:
        done = subprocess.run(
            (*COMMAND, *arguments), env=environment, capture_output=True, text=True, timeout=180
        )
    except subprocess.TimeoutExpired:
        return Answer(-1, "", "no end after 180 s", perf_counter() - started)
    return Answer(done.returncode, done.stdout, done.stderr, perf_counter() - started)


def message(kind: kinds.Kind, answer: Answer) -> str:
    """The part of the output that is the answer to the bad input."""
    lines = f"{answer.errors}\n{answer.output}".splitlines()
    if kind.fatal:
        lines = [line for line in lines if line.startswith("Error:")] or lines[-1:]
    else:
        lines = [line for line in lines if re.search(kind.says, line)]
    return " ".join(" ".join(lines[-1:]).split())


def faults(kind: kinds.Kind, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer."""
    if "Traceback (most recent call last)" in answer.errors + answer.output:
        yield "a traceback"
    if kind.fatal == (answer.exit_code == 0):
        yield f"exit code {answer.exit_code}"
    lines = [line for line in answer.errors.splitlines() if not line.startswith("[")]
    if kind.fatal and len(lines) > LINES:  # beside the search's own progress
        yield f"{len(lines)} lines"
    if answer.seconds > (SECONDS if kind.fatal else SEARCH_SECONDS):
        yield f"{answer.seconds:.0f} s"
    if not re.search(kind.says, message(kind, answer)):
        yield f"does not say {kind.says!r}"


@contextmanager
def drive(folder: Path, options: str) -> Iterator[Path | None]:
    """A drive in memory mounted on `folder`; None where this user may not mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def all_kinds(world: World, read_only: Path | None, small: Path | None) -> Iterator[kinds.Kind]:
    """Every kind, in the order of the table."""
    yield from kinds.folder_kinds(world)
    yield from kinds.table_kinds(world)
    yield from kinds.source_kinds(world)
    yield from kinds.option_kinds(world)
    yield from kinds.study_file_kinds(world)
    yield from kinds.weights_kinds(world)
    yield from kinds.storage_kinds(world, read_only)
    yield from kinds.study_kinds(world)
    yield from kinds.predict_kinds(world)
    if small is not None:
        yield from kinds.disk_kinds(world, small)


def tried(kind: kinds.Kind, world: World) -> int:
    """Run one kind and print its row; the number of its faults."""
    answer = call(kind.arguments, offline=kind.offline)
    wrong = list(faults(kind, answer))
    text = message(kind, answer).replace(str(world.root), "TMP").replace("|", "\\|")
    verdict = f" **WRONG: {', '.join(wrong)}**" if wrong else ""
    name = kind.name.replace(str(world.root), "TMP")
    cells = (name, str(answer.exit_code), f"{answer.seconds:.0f}", f"{text}{verdict}")
    print(f"| {' | '.join(cells)} |", flush=True)
    if wrong and len(sys.argv) > 1:
        print(answer.errors[-3000:], file=sys.stderr)
    return len(wrong)


def main(word: str = "") -> int:
    """Try everything; the exit code."""
    with tempfile.TemporaryDirectory(prefix="bad-input-") as temporary:
        root = Path(temporary)
        with (
            drive(root / "read-only", "ro") as read_only,
            drive(root / "small", "size=1m") as small,
        ):
            world = World(root)
            start = call(kinds.search(world, "--study", "good"))
            if start.exit_code:
                print(start.errors, file=sys.stderr)
                return 1
            print("| kind | exit code | seconds | message |\n| --- | --- | --- | --- |")
            wrong = [tried(k, world) for k in all_kinds(world, read_only, small) if word in k.name]
    if small is None:
        print("\nSkipped, for want of the right to mount a drive: read-only folder, full disk.")
    print(f"\n{len(wrong)} kinds, {sum(map(bool, wrong))} of them wrong.")
    return 1 if any(wrong) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
