"""Which rule chooses best among the many strategies of a finished search on few images.

    python studies/benchmarks/late_selection.py --shared ../shared STUDY_FOLDER ...

Each folder is one that race.py keeps of ours: KEEP/ours-.../TASK. The frozen strategies that a
rule looks at, the 20 best of the study by score and by log-loss and the best of each kind, are
fitted on its labelled images and asked for up to 300 other images of the domain, which are neither
the study's nor test images of ../shared/tasks. Then each rule chooses by the study's held-out
predictions alone. Prints for each study and rule the accuracy in per cent and the mean log score on
the other images, and the number of models. The folders are read only: a copy of each is opened.
"""

import argparse
import csv
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from selection import Given, test_images

from automl_xfer.data.image_cache import ImageCache
from automl_xfer.evaluation.evidence import evidence_weights
from automl_xfer.evaluation.metrics import log_scores
from automl_xfer.search.ensemble import alone_if_as_good, ensemble_weights, greedy_weights
from automl_xfer.search.finalist import given_to_labels
from automl_xfer.search.finalists import kind_of
from automl_xfer.search.judging import ranked
from automl_xfer.search.opening import open_session
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.plan import training_parts
from automl_xfer.search.session import Session
from automl_xfer.study.address import normalise_url
from automl_xfer.study.records import TrialRecord
from automl_xfer.study.store import StudyStore
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.parts import Part

DOMAINS = {
    "cartoon-5shot": "pacs/cartoon",
    "art-20shot": "pacs/art_painting",
    "caltech-5shot": "office_caltech10/caltech",
}
MOST_NEAR, MOST_KINDS, MOST_OTHERS = 20, 40, 300


def main() -> None:
    """Every study, a row for each rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="STUDY_FOLDER")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    arguments = parser.parse_args()
    arguments.shared = arguments.shared.resolve()
    if not (arguments.shared / "tasks").is_dir():
        parser.error(f"no folder {arguments.shared / 'tasks'}: give --shared")
    print("| study | rule | accuracy | log score | models |\n| --- | --- | --- | --- | --- |")
    for folder in [each.resolve() for each in arguments.folders]:
        with tempfile.TemporaryDirectory() as copies:
            copy = Path(copies) / folder.name
            shutil.copytree(folder, copy)
            os.chdir(copy)
            one_study(folder, arguments.shared, Path(copies))


def one_study(folder: Path, shared: Path, cache: Path) -> None:
    """The rows of one study, which lies in the working folder."""
    seed = StudyStore(normalise_url(None, Path("studies").resolve())).get_study(folder.name).seed
    weights = str(shared / "weights")
    options = SearchOptions("task.csv", study=folder.name, weights_dir=weights, seed=seed)
    session = open_session(options, lambda event: None, lambda: False)
    pool = pool_of(session)
    other = other_images(session, folder.name, shared, cache)
    context = FitContext("cpu", options.seed, FeatureCache(cache))
    parts = training_parts(session.prepared.data)
    predicted = np.stack(
        [fit(strategy_of(session, each), parts, context).predict(other) for each in pool]
    )
    given = np.stack([given_to_labels(session, each) for each in pool])
    for title, weights in chosen(given, pool):
        together = np.tensordot(weights, predicted, axes=1)
        right = float(np.mean(together.argmax(1) == other.labels))
        of_label = together[np.arange(len(together)), other.labels]
        log_score = float(log_scores(of_label).mean())
        name = f"{folder.parent.name} {folder.name}"
        models = np.count_nonzero(weights)
        print(f"| {name} | {title} | {100 * right:.1f} | {log_score:.3f} | {models} |", flush=True)


def pool_of(session: Session) -> list[TrialRecord]:
    """The frozen trials that one of the rules looks at, the best by score first."""
    trials = [t for t in session.complete_trials() if strategy_of(session, t).frozen]
    by_score = ranked(session, trials)
    by_loss = sorted(trials, key=lambda trial: trial.metrics.get("log-loss", np.inf))
    kinds: dict[str, TrialRecord] = {}
    for trial in by_loss:
        kinds.setdefault(kind_of(trial), trial)
    looked_at = (*by_score[:MOST_NEAR], *by_loss[:MOST_NEAR], *list(kinds.values())[:MOST_KINDS])
    return list({trial.id: trial for trial in looked_at}.values())


def strategy_of(session: Session, trial: TrialRecord):
    """What the trial ran."""
    return session.history.strategy(trial, session.catalog.classes)


def other_images(session: Session, task: str, shared: Path, cache: Path) -> Part:
    """Labelled images of the domain that nobody chose or tests by."""
    rows = csv.DictReader((shared / "tasks" / f"{task}.csv").open(newline=""))
    used = {(shared / "tasks" / row["image"]).resolve() for row in rows} | test_images(shared)
    found = [path.resolve() for path in sorted((shared / "data" / DOMAINS[task]).glob("*/*"))]
    classes = session.prepared.data.classes
    free = [path for path in found if path not in used and path.parent.name in classes]
    drawn = [free[row] for row in np.random.default_rng(3).permutation(len(free))[:MOST_OTHERS]]
    labels = np.array([classes.index(path.parent.name) for path in drawn])
    return Part.whole(ImageCache(cache).load(drawn, session.prepared.data.image_size, labels))


def chosen(given: Given, pool: Sequence[TrialRecord]) -> list[tuple[str, np.ndarray]]:
    """(rule, weights over the pool)."""
    by_log_score = np.argsort(-log_scores(given).mean(1), kind="stable")
    by_score = np.arange(len(pool))
    twenty = sorted({*by_log_score[:MOST_NEAR].tolist(), *by_score[:MOST_NEAR].tolist()})
    kinds: dict[str, int] = {}
    for place in by_log_score.tolist():
        kinds.setdefault(kind_of(pool[place]), place)
    each = sorted({0, *list(kinds.values())[:MOST_KINDS]})

    def over(places: list[int], weights: np.ndarray) -> np.ndarray:
        whole = np.zeros(len(given))
        whole[places] = weights
        return whole

    def weighed(places: list[int]) -> np.ndarray:
        return ensemble_weights(given[places], log_scores(given[places]), range(len(places)))

    return [
        ("best by score", over([int(by_score[0])], np.ones(1))),
        ("best by log score", over([int(by_log_score[0])], np.ones(1))),
        ("greedy, 20 best by each", over(twenty, greedy_weights(given[twenty]))),
        ("evidence, 20 best by each", over(twenty, evidence_weights(log_scores(given[twenty])))),
        ("both, 20 best by each", over(twenty, weighed(twenty))),
        ("both, best of each kind", over(each, weighed(each))),
        (
            "ours: that, or one if as good",
            over(each, alone_if_as_good(weighed(each), given[each], range(len(each)))),
        ),
    ]


if __name__ == "__main__":
    main()
