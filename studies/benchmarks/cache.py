"""Twenty strategies that share a backbone, with the cache and without.

    python studies/benchmarks/cache.py --shared ../shared

Each strategy is cross-validated on the labelled images of one fixed task, as a trial of the search
is, with a cache folder that all strategies share (empty at the start) and with one of its own and
no activations kept, in turn: what else the machine does falls on both. Frozen strategies are
random draws of head, sources and alignment; those that train are random draws of everything but
backbone and depth, whose last third of the stages trains. Prints both sides' seconds and
accuracies.
"""

import argparse
import csv
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import optuna

from automl_xfer.components import BackboneRequest, Strategy
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.errors import AutomlXferError
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.plan import Plan, fold_parts, make_plan
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.parts import StudyData

SIZE, DEPTH, EPOCHS = 160, 0.67, 10


def main() -> None:
    """Run both kinds of strategies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--task", default="art-20shot")
    parser.add_argument("--backbone", default="mobilenetv2_100.in1k")
    parser.add_argument("--strategies", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    with tempfile.TemporaryDirectory() as folder:
        data = labelled_images(arguments, Path(folder))
        plan = make_plan(data, "accuracy", 0)
        print(f"{arguments.task}: {plan.describe(len(data.target or ()))}")
        print("\n| strategies | without, s | with, s | times | accuracy without | with |")
        print("| --- | --- | --- | --- | --- | --- |")
        for title, choices, values in (
            ("frozen", {"freezing": ("linear-probe",)}, {}),
            (
                f"last third trains, {EPOCHS} epochs",
                {"freezing": ("frozen-depth",), "optimization": ("adamw", "sgd")},
                {"freezing.frozen-depth.depth": DEPTH},
            ),
        ):
            drawn = draw(arguments, choices, values)
            without, cached = both_sides(drawn, data, plan, arguments.device, Path(folder) / title)
            (slow, slow_right), (fast, right) = np.sum(without, 0), np.sum(cached, 0)
            n = len(drawn)
            print(
                f"| {n} {title} | {slow:.1f} | {fast:.1f} | {slow / fast:.1f} | "
                f"{100 * slow_right / n:.1f} | {100 * right / n:.1f} |",
                flush=True,
            )


def labelled_images(arguments: argparse.Namespace, folder: Path) -> StudyData:
    """The labelled target images of the task."""
    table = arguments.shared / "tasks" / f"{arguments.task}.csv"
    rows = [row for row in csv.DictReader(table.open(newline="")) if row["split"] == "train"]
    classes = tuple(sorted({row["label"] for row in rows}))
    labels = np.array([classes.index(row["label"]) for row in rows])
    paths = [(table.parent / row["image"]).resolve() for row in rows]
    target = ImageCache(folder / "images").load(paths, SIZE, labels)
    return StudyData(classes, SIZE, target)


def draw(
    arguments: argparse.Namespace, choices: dict[str, tuple[str, ...]], values: dict[str, float]
) -> list[Strategy]:
    """Different random strategies on the backbone."""
    catalog = PluginSource().load()[1]
    request = BackboneRequest((arguments.backbone,), arguments.shared / "weights")
    backbones = [b for b in catalog.backbones(request) if b.label == arguments.backbone]
    space = Space(catalog.classes, backbones, frozenset({"target_labels", "few_classes"}), choices)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: dict[str, Strategy] = {}
    while len(found) < arguments.strategies:
        try:
            made = space.suggest(study.ask())
        except AutomlXferError:
            continue
        if values:
            optimization = replace(made.optimization, epochs=EPOCHS)
            freezing = replace(made.freezing, depth=values["freezing.frozen-depth.depth"])
            made = replace(made, optimization=optimization, freezing=freezing)
        if made.regularizer.distils:
            continue  # needs a finished study
        found.setdefault(made.to_json(), made)
    return list(found.values())


def both_sides(
    strategies: list[Strategy], data: StudyData, plan: Plan, device: str, folder: Path
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(seconds, accuracy) of each strategy without and with what the others left."""
    without, cached = [], []
    shared = FitContext(device, 0, FeatureCache(folder / "shared"))
    warm = FitContext(device, 0, FeatureCache(folder / "warm"), stage_dtype=None)
    trial(strategies[0], data, plan, warm)  # weights and images are read once before
    for number, strategy in enumerate(strategies):
        alone = FitContext(device, 0, FeatureCache(folder / str(number)), stage_dtype=None)
        sides = [(without, alone), (cached, shared)]
        for found, context in sides if number % 2 else reversed(sides):
            found.append(trial(strategy, data, plan, context))
    return without, cached


def trial(
    strategy: Strategy, data: StudyData, plan: Plan, context: FitContext
) -> tuple[float, float]:
    """Seconds and accuracy of a cross-validation."""
    started, right, n = perf_counter(), 0, 0
    for parts, held_out in fold_parts(data, plan):
        predicted = fit(strategy, parts, context).predict(held_out).argmax(1)
        right += int((predicted == held_out.labels).sum())
        n += len(held_out)
    return perf_counter() - started, right / n


if __name__ == "__main__":
    main()
