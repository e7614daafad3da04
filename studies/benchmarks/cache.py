"""Twenty strategies that share a backbone, with the cache and without.

    python studies/benchmarks/cache.py --shared ../shared

Each strategy is cross-validated on the labelled images of one fixed task, as a trial of the search
is, three ways in turn, so that what else the machine does falls on all: with nothing kept from one
fold to the next (every fold reads each of its images and mirror images once); with what one
strategy's folds leave each other; and with a cache folder that all strategies share, empty at the
start. Frozen strategies are random draws of head and alignment, those that leave the backbone as it
is apart from those that re-estimate its batch norms, which in effect have a backbone of their own
in every fold. Those that train are random draws of everything but backbone and depth, whose last
third of the stages trains; apart from them those that nothing can be kept for, as they mix images,
perturb them by the gradient or adapt batch norms. Prints seconds and accuracies.
"""

import argparse
import csv
import shutil
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
from automl_xfer.transfer.finishing import adapts_backbone
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.frozen_prefix import varies_one_image_at_a_time
from automl_xfer.transfer.parts import StudyData

SIZE, DEPTH, EPOCHS = 160, 0.67, 10
FROZEN, ADAPTED = "frozen", "frozen, batch norms adapted"
TRAINED, MIXED = "last third trained, 10 epochs", "last third trained, 10 epochs, images mixed"
KINDS = (FROZEN, ADAPTED, TRAINED, MIXED)
SIDES = ("nothing kept, s", "by strategy, s", "by all, s")


def main() -> None:
    """Run the kinds of strategies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--task", default="art-20shot")
    parser.add_argument("--backbone", default="mobilenetv2_100.in1k")
    parser.add_argument("--strategies", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kinds", nargs="*", choices=KINDS)
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    with tempfile.TemporaryDirectory() as folder:
        data = labelled_images(arguments, Path(folder))
        plan = make_plan(data, "accuracy", 0)
        print(f"{arguments.task}: {plan.describe(len(data.target or ()))}")
        print(f"\n| strategies | {' | '.join(SIDES)} | times | accuracy without | with |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for kind in arguments.kinds or KINDS:
            drawn = draw(arguments, kind)
            sides = all_sides(drawn, data, plan, arguments.device, Path(folder) / kind)
            seconds, right = np.sum(list(sides.values()), 1).T
            n = len(drawn)
            print(
                f"| {n} {kind} | {' | '.join(f'{each:.1f}' for each in seconds)} | "
                f"{seconds[0] / seconds[-1]:.1f} | "
                f"{100 * right[0] / n:.1f} | {100 * right[-1] / n:.1f} |",
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


def draw(arguments: argparse.Namespace, kind: str) -> list[Strategy]:
    """Different random strategies of the kind on the backbone."""
    choices: dict[str, tuple[str, ...]] = {"freezing": ("linear-probe",)}
    if kind in (TRAINED, MIXED):
        choices = {"freezing": ("frozen-depth",), "optimization": ("adamw", "sgd")}
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
        alone = adapts_backbone(made.alignment)
        if kind in (TRAINED, MIXED):
            optimization = replace(made.optimization, epochs=EPOCHS)
            made = replace(
                made, optimization=optimization, freezing=replace(made.freezing, depth=DEPTH)
            )
            alone = alone or not varies_one_image_at_a_time(made)
        if alone != (kind in (ADAPTED, MIXED)):
            continue
        if made.regularizer.distils:
            continue  # needs a finished study
        found.setdefault(made.to_json(), made)
    return list(found.values())


Found = list[tuple[float, float]]  # (seconds, accuracy) of each strategy


def all_sides(
    strategies: list[Strategy], data: StudyData, plan: Plan, device: str, folder: Path
) -> dict[str, Found]:
    """What each side needs and reaches, in the order of `SIDES`."""
    found: dict[str, Found] = {side: [] for side in SIDES}
    shared = FitContext(device, 0, FeatureCache(folder / "shared"))
    nothing = FitContext(device, 0, FeatureCache(folder / "nothing"), stage_dtype=None)
    trial(strategies[0], data, plan, nothing, forget=True)  # weights and images are read now
    for number, strategy in enumerate(strategies):
        alone = replace(nothing, cache=FeatureCache(folder / str(number)))
        sides = list(zip(SIDES, (nothing, alone, shared), strict=True))
        for side, context in sides if number % 2 else reversed(sides):
            forget = side == SIDES[0]
            found[side].append(trial(strategy, data, plan, context, forget=forget))
    return found


def trial(
    strategy: Strategy, data: StudyData, plan: Plan, context: FitContext, *, forget: bool
) -> tuple[float, float]:
    """Seconds and accuracy of a cross-validation; `forget` empties the cache before each fold."""
    seconds, right, n = 0.0, 0, 0
    for parts, held_out in fold_parts(data, plan):
        if forget:
            shutil.rmtree(context.cache.directory, ignore_errors=True)
        started = perf_counter()
        predicted = fit(strategy, parts, context).predict(held_out).argmax(1)
        right += int((predicted == held_out.labels).sum())
        seconds += perf_counter() - started
        n += len(held_out)
    return seconds, right / n


if __name__ == "__main__":
    main()
