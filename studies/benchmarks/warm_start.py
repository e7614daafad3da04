"""A study of a known data set in a tenth of the time, beside one in an empty database.

    python studies/benchmarks/warm_start.py --shared ../shared --minutes 10

For each task a search of so many minutes, then one of a tenth of them in the same database, which
knows the first one's best strategies and finds its features on disk, and one of a tenth in an empty
folder. Prints the score each search found for its winner on held-out images (the same folds in all
three), the accuracy of its model on the test rows, and its seconds.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tasks import FEW_LABELS, score, write_csv


def main() -> None:
    """Three searches of every task, and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(FEW_LABELS))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", default="0")
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    print("| task | search | score on held-out images | test accuracy | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for task in arguments.tasks:
        with tempfile.TemporaryDirectory() as known, tempfile.TemporaryDirectory() as empty:
            seconds = 60 * arguments.minutes
            for title, folder, limit in (
                ("first", known, seconds),
                ("again, a tenth", known, seconds / 10),
                ("a tenth, empty database", empty, seconds / 10),
            ):
                study = title.split(",")[0].replace(" ", "-")
                found = search(task, Path(folder), study, limit, arguments)
                cells = (f"{100 * found[key]:.1f}" for key in ("score", "test"))
                row = " | ".join((task, title, *cells, f"{found['seconds']:.0f}"))
                print(f"| {row} |", flush=True)


def search(
    task: str, folder: Path, study: str, limit: float, arguments: argparse.Namespace
) -> dict[str, float]:
    """Run the command line as a user would; its own score, the test accuracy and its seconds."""
    table = arguments.shared / "tasks" / f"{task}.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    for row in rows:
        row["image"] = str((table.parent / row["image"]).resolve())
    seen, test = ([r for r in rows if (r["split"] == "test") is held] for held in (False, True))
    write_csv(folder / "task.csv", seen, ["image", "label", "domain", "split"])
    write_csv(folder / "test.csv", test, ["image"])
    told = run(
        folder,
        *("search", "--target", "task.csv", "--study", study, "--json"),
        *("--weights-dir", str((arguments.shared / "weights").resolve())),
        *("--time-limit", f"{limit:.0f}s", "--seed", arguments.seed),
    )
    run(folder, "predict", study, "test.csv", "--out", "predictions.csv")
    result = json.loads(told)
    labels = [row["label"] for row in csv.DictReader((folder / "predictions.csv").open(newline=""))]
    accuracy = score([row["label"] for row in test], labels)["accuracy"] / 100
    whole = result["seconds"]["whole run"]
    return {"score": result["winner"]["score"], "test": accuracy, "seconds": whole}


def run(folder: Path, *words: str) -> str:
    """What the command prints on its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "automl_xfer", *words],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return done.stdout


if __name__ == "__main__":
    main()
