"""What pruning by counts alone and by log scores too would have stopped in searches that ended.

    python studies/benchmarks/pruning.py DIR [DIR ...]

DIR: a folder that race.py or tasks.py kept (--keep), with `task.csv` beside `studies`. Every
complete trial of a search with labels is played again fold by fold against the best before it.
Prints how many each rule stops, the seconds of fitting that would have been spared, and how many of
those stopped were in the model that won: these would have been lost.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_xfer.evaluation.metrics import log_scores
from automl_xfer.search import pruning
from automl_xfer.search.pruning import ImageScores, is_hopeless
from automl_xfer.study.records import Role, TrialRecord, TrialState
from automl_xfer.study.store import StudyStore

FOLDS = 5


@dataclass(frozen=True)
class Played:
    """One trial: what its images became, fold by fold, and whether it won."""

    trial: TrialRecord
    folds: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    score: float
    won: bool


def main() -> None:
    """Print a row per rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    arguments = parser.parse_args()
    databases = sorted({path for each in arguments.folders for path in each.rglob("studies.db")})
    studies = [study for path in databases for study in searches(path)]
    fitting = sum(each.trial.timings["fit"] for study in studies for each in study)
    print(f"{len(studies)} searches, {sum(map(len, studies))} trials, {fitting:.0f} s of fits")
    print("| rule | stopped | seconds spared | of the winner |\n| --- | --- | --- | --- |")
    log_score_level = pruning._P
    for rule, level in (("counts", 0.0), ("counts or log scores", log_score_level)):
        pruning._P = level
        total: Counter[str] = Counter()
        for study in studies:
            total += replay(study)
        print(f"| {rule} | {total['stopped']} | {total['seconds']:.0f} | {total['lost']} |")


def searches(database: Path) -> Iterator[list[Played]]:
    """The trials of each finished search of a database, in their order."""
    table = database.parent.parent / "task.csv"
    if not table.exists():
        return
    rows = list(csv.DictReader(table.open(newline="")))
    names = [row["label"] for row in rows]
    classes = sorted(set(names) - {""})
    if "" in names or any(row.get("split") == "source" for row in rows):
        return
    labels = np.array([classes.index(name) for name in names])
    store = StudyStore(f"sqlite:///{database}")
    for study in store.list_studies():
        won = set((study.result or {}).get("winner", {}).get("trials", []))
        found = [
            played(trial, database.parent / study.name, labels, trial.id in won)
            for trial in store.trials(study.name)
            if trial.state is TrialState.COMPLETE and trial.repeats is None
        ]
        yield [each for each in found if each is not None]


def played(trial: TrialRecord, folder: Path, labels: np.ndarray, won: bool) -> Played | None:
    """None where the predictions are gone, or are not of these labels."""
    path = folder / str(trial.predictions_path)
    if not path.exists():
        return None
    arrays = np.load(path)
    rows, probabilities = arrays["rows"], arrays["probabilities"]
    truth = labels[rows]
    right = probabilities.argmax(1) == truth
    if abs(right.mean() - (trial.score or 0.0)) > 1e-6:
        return None
    scores = log_scores(probabilities[np.arange(len(rows)), truth])
    cut = (np.array_split(each, FOLDS) for each in (rows, right, scores))
    return Played(trial, list(zip(*cut, strict=True)), float(right.mean()), won)


def replay(study: list[Played]) -> Counter[str]:
    """Trials stopped by the rule of now, seconds spared, and winners lost."""
    total: Counter[str] = Counter()
    best, most = ImageScores(), -1.0
    for each in study:
        if each.trial.role in (Role.PORTFOLIO, Role.SEARCH):
            seen = ImageScores()
            for number, fold in enumerate(each.folds[:-1], start=1):
                seen.add(*fold)
                if is_hopeless(seen, best):
                    total["stopped"] += 1
                    total["seconds"] += each.trial.timings["fit"] * (1 - number / FOLDS)
                    total["lost"] += each.won
                    break
        if each.score > most:
            best, most = ImageScores(), each.score
            for fold in each.folds:
                best.add(*fold)
    return total


if __name__ == "__main__":
    main()
