"""Test accuracy against minutes: our search, Optuna by hand, logistic regression.

    python studies/benchmarks/race.py --shared ../shared --seeds 0,1,2 --keep DIR

On cartoon-5shot, art-20shot and caltech-5shot: our search with --minutes each (a run of its own
for every number of minutes), optuna_by_hand.py read at the same minutes of one run, and frozen
features with logistic regression (tasks.py). By hand and logistic regression read images at 160
pixels, ours at the size that it chooses (224 where there are few); logistic regression at 224
stands beside them. Runs that --keep holds are read and not made again. Prints one row per task and
side, means over the seeds, and whether ours with the least minutes is above theirs with the most.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tasks import FEW_LABELS, run_task, score, write_csv

Scores = dict[tuple[str, int], list[float]]  # (side, minutes) -> accuracy by seed


def main() -> None:
    """Race on every task and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(FEW_LABELS))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--minutes", default="2,10")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--keep", type=Path, help="folder for the runs (default: temporary)")
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    arguments.keep = arguments.keep or Path(tempfile.mkdtemp())
    minutes = [int(each) for each in arguments.minutes.split(",")]
    arguments.seeds = [int(each) for each in arguments.seeds.split(",")]
    results = {task: race(task, minutes, arguments) for task in arguments.tasks}
    print_table(results, minutes)


def race(task: str, minutes: list[int], arguments: argparse.Namespace) -> Scores:
    """Accuracies on the test rows in per cent."""
    scores: Scores = {}
    for seed in arguments.seeds:
        for number in minutes:
            mine = our_run(task, seed, number, arguments)
            scores.setdefault(("ours", number), []).append(mine["our accuracy"])
            if number == max(minutes):
                scores.setdefault(("LR", 0), []).append(mine["LR accuracy"])
                scores.setdefault(("LR at 224", 0), []).append(mine["LR accuracy at 224"])
        for number, value in by_hand(task, seed, minutes, arguments).items():
            scores.setdefault(("by hand", number), []).append(value)
        print(task, seed, {" ".join(map(str, k)): v[-1] for k, v in scores.items()}, flush=True)
    return scores


def our_run(task: str, seed: int, minutes: int, arguments: argparse.Namespace) -> dict:
    """What tasks.py finds of one run of our search."""
    folder = arguments.keep / f"ours-{commit()}-{minutes}m-seed-{seed}"
    kept = folder / f"{task}.json"
    if not kept.exists():
        asked = argparse.Namespace(
            shared=arguments.shared, time_limit=f"{minutes}m", seed=str(seed)
        )
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(run_task(task, asked, folder)))
    return json.loads(kept.read_text())


def commit() -> str:
    """The version that runs, so that kept results of another one are not mixed in."""
    here = Path(__file__).parent
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True
    )
    return told.stdout.strip() or "unknown"


def by_hand(
    task: str, seed: int, minutes: list[int], arguments: argparse.Namespace
) -> dict[int, float]:
    """Minutes -> accuracy of the engineer's script."""
    folder = arguments.keep / f"by-hand-seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    table = arguments.shared / "tasks" / f"{task}.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    for row in rows:
        row["image"] = str((table.parent / row["image"]).resolve())
    test = [row["label"] for row in rows if row["split"] == "test"]
    hidden = [{**row, "label": "" if row["split"] == "test" else row["label"]} for row in rows]
    write_csv(folder / f"{task}.csv", hidden, ["image", "label", "domain", "split"])
    out = folder / f"{task}.json"
    if not out.exists():
        subprocess.run(
            [
                *(sys.executable, Path(__file__).with_name("optuna_by_hand.py")),
                *(folder / f"{task}.csv", "--out", out, "--seed", str(seed)),
                *("--weights-dir", arguments.shared / "weights"),
                *("--time-limit", str(60 * max(minutes))),
                *("--checkpoints", ",".join(str(60 * each) for each in minutes)),
            ],
            check=True,
        )
    predictions = json.loads(out.read_text())["predictions"]
    return {each: score(test, predictions[str(60 * each)])["accuracy"] for each in minutes}


def print_table(results: dict[str, Scores], minutes: list[int]) -> None:
    """Means over the seeds, with the least and the largest."""
    sides = [(side, each) for side in ("ours", "by hand") for each in minutes]
    sides += [("LR", 0), ("LR at 224", 0)]
    titles = [f"{side}, {each} min" if each else side for side, each in sides]
    print(f"\n| task | {' | '.join(titles)} |\n| --- |{' --- |' * len(titles)}")
    for task, scores in results.items():
        cells = [
            f"{np.mean(scores[k]):.1f} ({min(scores[k]):.1f}-{max(scores[k]):.1f})" for k in sides
        ]
        print(f"| {task} | {' | '.join(cells)} |")
    least, most = min(minutes), max(minutes)
    gains = []
    for task, scores in results.items():
        mine, theirs = np.mean(scores["ours", least]), np.mean(scores["by hand", most])
        gains.append(np.mean(scores["ours", most]) - np.mean(scores["LR", 0]))
        print(f"\n{task}: ours at {least} min {mine - theirs:+.1f} against by hand at {most} min")
    print(f"\nmean gain over logistic regression at {most} min: {np.mean(gains):+.1f}")


if __name__ == "__main__":
    main()
