"""What the search itself costs beside decoding, forward, backward and evaluation.

    python studies/benchmarks/overhead.py --shared ../shared --time-limit 5m

First a search of a fixed task: the seconds of each phase, and the share of the whole run that is
neither reading images nor looking at backbones, nor a trial's fitting and predicting, nor the final
fit; and that share with the trials added that were cut off before they had a score, whose work was
forward and backward passes too, but in vain. Then 1,000 trials whose child process is replaced by
a function that writes random predictions: milliseconds from one trial to the next of everything
else that a search does (the draw, what is asked of the history, ranking, intervals, records,
Optuna's own), of these the next strategy's draw alone, and the memory of the process.

A search draws the next strategy while a trial runs, and a process begins with it while the trial is
recorded: what that takes from the training beside it is in the seconds of fitting.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import psutil
from PIL import Image
from tasks import run_task

from automl_xfer.search import drawing, request
from automl_xfer.search import objective as searching
from automl_xfer.search.opening import open_session
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.portfolio import enqueue_start
from automl_xfer.search.run import run_one_trial
from automl_xfer.search.trial import TrialOutcome
from automl_xfer.study.address import normalise_url
from automl_xfer.study.records import FailureKind
from automl_xfer.study.store import StudyStore

REPORTED = (10, 100, 300, 1000)


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--task", default="art-20shot")
    parser.add_argument("--time-limit", default="5m")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument(
        "--skip-search", action="store_true", help="only the trials that end at once"
    )
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.skip_search:
            one_search(arguments, Path(folder))
        empty_trials(arguments, Path(folder))


def one_search(arguments: argparse.Namespace, folder: Path) -> None:
    """Seconds by phase of a search, and the share that is overhead."""
    run_task(arguments.task, arguments, folder)
    studies = folder / arguments.task / "studies"
    store = StudyStore(normalise_url(None, studies))
    seconds = dict(store.get_study(arguments.task).result or {})["seconds"]
    for name, value in seconds.items():
        print(f"{name:24} {value:7.1f} s")
    useful = seconds["fit"] + seconds["predict"]
    useful += sum(seconds.get(f"phase: {name}", 0) for name in ("reading", "look", "final fit"))
    whole = seconds["whole run"]
    vain = sum(
        (trial.finished - trial.started).total_seconds()
        for trial in store.trials(arguments.task)
        if trial.failure_kind is FailureKind.TIMEOUT and trial.started and trial.finished
    )
    overhead = whole - useful - vain
    print(f"\noverhead: {overhead:.1f} s of {whole:.1f} s, {overhead / whole:.1%}")
    print(f"with trials cut off: {overhead + vain:.1f} s, {(overhead + vain) / whole:.1%}")


def empty_trials(arguments: argparse.Namespace, folder: Path) -> None:
    """Milliseconds between trials that end at once."""
    session = session_on_noise(arguments, folder)
    random.seed(0)
    asks: list[float] = []
    draw = drawing.enqueue_next

    def timed(session, *most):
        started = perf_counter()
        found = draw(session, *most)
        asks.append(perf_counter() - started)
        return found

    drawing.enqueue_next = timed
    searching.run_in_child = ended_at_once
    request.begin_in_child = lambda function, argument: None
    session.stage_seconds = {each.label: (1e-7, 1e-7) for each in session.space.backbones}
    enqueue_start(session)
    between: list[float] = []
    print("\n| trials | between two trials, ms | of that the draw, ms | slowest | memory, MB |")
    print("| --- | --- | --- | --- | --- |")
    while len(between) < arguments.trials:
        started = perf_counter()
        run_one_trial(session)
        between.append(perf_counter() - started)
        if len(between) in REPORTED:
            told = [1000 * median(each[-50:]) for each in (between, asks)]
            told += [1000 * max(asks[-50:]), psutil.Process().memory_info().rss / 2**20]
            cells = " | ".join(f"{each:.0f}" for each in told)
            print(f"| {len(between)} | {cells} |", flush=True)


def session_on_noise(arguments: argparse.Namespace, folder: Path):
    """A session on a few images of noise with the shared weights."""
    for label in "ab":
        (folder / "noise" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(number + 10 * ord(label)).integers(0, 256, (16, 16, 3))
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / "noise" / label / f"{number}.png")
    options = SearchOptions(
        target=str(folder / "noise"),
        studies_dir=str(folder / "studies"),
        weights_dir=str(arguments.shared / "weights"),
        time_limit=86400,
        image_size=16,
    )
    return open_session(options, lambda event: None, lambda: False)


def ended_at_once(
    function, request, *, timeout, answer, answered, meanwhile, should_stop
) -> TrialOutcome:
    """A trial without training: random predictions for all rows."""
    meanwhile()
    rows = np.concatenate([held_out for _, held_out in request.plan.folds])
    right = np.random.default_rng().random(len(rows))
    probabilities = np.stack([right, 1 - right], axis=1).astype(np.float32)
    request.predictions_path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(request.predictions_path, rows=rows, probabilities=probabilities)
    timings = {"fit": 0.1, "predict": 0.01, "total": 0.11}
    return TrialOutcome((), random.random(), {}, timings, 0.0, False)


if __name__ == "__main__":
    main()
