"""Batch norms adapted once on all target images, or in each fold without the held-out ones.

    python studies/benchmarks/adapting_folds.py cartoon-5shot art-20shot --shared ../shared

The search scores AdaBN by cross-validation with one backbone for all folds: its statistics are of
all target images, without labels, so the held-out ones have a say in them. Both ways are scored:
accuracy (per cent), log loss and seconds, by backbone and share of the new statistics, with a
logistic regression; and what a fit on all labelled images has on 400 test images.
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import optuna
from cache import SIZE, labelled_images

from automl_xfer.components import BackboneRequest, Strategy
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.plan import fold_parts, make_plan, training_parts
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.parts import Part, StudyData

BACKBONES = ("mobilenetv2_100.in1k", "mobilenetv1_100.in1k")
MIXES = (0.3, 0.7, 1.0)


def main() -> None:
    """Print one row per task, backbone and mixture, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=["cartoon-5shot", "art-20shot"])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| task | backbone | mix | each fold: accuracy, loss, s | once | test: accuracy, loss |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for task in arguments.tasks:
        with tempfile.TemporaryDirectory() as folder:
            asked = argparse.Namespace(shared=arguments.shared, task=task)
            data = labelled_images(asked, Path(folder))
            test = test_part(arguments.shared / "tasks" / f"{task}.csv", data, Path(folder))
            for backbone in BACKBONES:
                for mix in MIXES:
                    strategy = adabn(arguments.shared, backbone, mix)
                    found = compare(strategy, data, test, Path(folder))
                    rows.append(found)
                    print(f"| {task} | {backbone} | {mix} | {told(found)} |", flush=True)
    print(f"| mean | | | {told(np.mean(rows, 0))} |")


def told(found: np.ndarray) -> str:
    """The cells of a row."""
    each, once, test = found
    first, second = (f"{100 * a:.1f}, {loss:.3f}, {s:.1f}" for a, loss, s in (each, once))
    return f"{first} | {second} | {100 * test[0]:.1f}, {test[1]:.3f}"


def test_part(table: Path, data: StudyData, folder: Path) -> Part:
    """400 test images with labels, to score only."""
    rows = [row for row in csv.DictReader(table.open(newline="")) if row["split"] == "test"][:400]
    labels = np.array([data.classes.index(row["label"]) for row in rows])
    paths = [(table.parent / row["image"]).resolve() for row in rows]
    return Part.whole(ImageCache(folder / "images").load(paths, SIZE, labels))


def adabn(shared: Path, backbone: str, mix: float) -> Strategy:
    """AdaBN and logistic regression on the frozen backbone."""
    catalog = PluginSource().load()[1]
    backbones = [
        made
        for made in catalog.backbones(BackboneRequest((backbone,), shared / "weights"))
        if made.label == backbone
    ]
    space = Space(catalog.classes, backbones, frozenset({"target_labels", "few_classes"}), {})
    names = {
        "freezing": "linear-probe",
        "alignment": "adabn",
        "head": "logistic-regression",
    }
    return space.strategy(backbone, names, {"alignment.adabn.mix": mix})


def compare(strategy: Strategy, data: StudyData, test: Part, folder: Path) -> np.ndarray:
    """(3, 3): accuracy, log loss and seconds, in each fold, once, and on the test images."""
    found = []
    plan = make_plan(data, "accuracy", 0)
    for once in (False, True):
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            context = FitContext("cpu", 0, FeatureCache(Path(cache)))
            started, right = perf_counter(), []
            for parts, held_out in fold_parts(data, plan):
                parts = parts if once else replace(parts, every_target=None)
                right.append(of_label(fit(strategy, parts, context).predict(held_out), held_out))
            seconds = perf_counter() - started
            found.append([*np.concatenate(right).mean(0), seconds])
            if once:
                fitted = fit(strategy, training_parts(data), context)
                found.append([*of_label(fitted.predict(test), test).mean(0), 0.0])
    return np.array(found)


def of_label(probabilities: np.ndarray, part: Part) -> np.ndarray:
    """(N, 2): whether the prediction is right, and the log loss."""
    losses = -np.log(probabilities[np.arange(len(part)), part.labels].clip(1e-9))
    return np.stack([probabilities.argmax(1) == part.labels, losses], 1)


if __name__ == "__main__":
    main()
