"""Ways to fine-tune on few labels beside the linear probe they start from, on no test image.

    python studies/benchmarks/fine_tuning.py --shared ../shared

For each of the fixed tasks with few labels: images of its domain that are no test rows (at most
--images), of which as many of each class as the task has, at most ten, are drawn for training and
the others classified. One backbone whose upper half trains for 20 epochs with flipped crops: LP-FT,
WiSE-FT with three shares of the start, and WiSE-FT that distils the linear probe on two backbones.
Prints accuracy in per cent and log-loss, and their means over tasks and draws.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from image_size import outside_test
from tasks import FEW_LABELS

from automl_xfer.components import BackboneRequest, Strategy
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.evaluation.metrics import mean_log_loss
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.parts import Part, TrainingParts

SIZE, MOST_SHOTS = 160, 10
BACKBONE, OTHER = "mobilenetv1_100.in1k", "mobilenetv2_100.in1k"


def main() -> None:
    """Print one row per task and draw, and the means."""
    arguments, space = asked(__doc__.splitlines()[0])
    ways = strategies(space)
    print(f"| task | draw | {' | '.join(ways)} |\n|{' --- |' * (2 + len(ways))}")
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for task in arguments.tasks:
            for draw, (parts, held_out) in enumerate(draws(task, arguments, Path(folder))):
                context = FitContext("cpu", draw, FeatureCache(Path(folder) / "features"))
                row = [evaluate(way, parts, held_out, context, space) for way in ways.values()]
                table.append(row)
                print(f"| {task} | {draw} | {cells(row)} |", flush=True)
    print(f"| mean | | {cells(np.mean(table, axis=0))} |")


def asked(description: str) -> tuple[argparse.Namespace, Space]:
    """What the command line says, and the strategies that there are."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("tasks", nargs="*", default=list(FEW_LABELS))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--draws", type=int, default=2)
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    catalog = PluginSource().load()[1]
    backbones = catalog.backbones(BackboneRequest(weights_dir=arguments.shared / "weights"))
    return arguments, Space(catalog.classes, backbones, frozenset({"target_labels"}))


def strategies(space: Space) -> dict[str, Strategy]:
    """Title -> strategy."""
    probe = {"freezing": "linear-probe", "alignment": "none", "head": "logistic-regression"}
    trained = {**probe, "augmentation": "flip-crop", "optimization": "adamw"}
    rates = {"optimization.adamw.epochs": 20, "optimization.adamw.learning_rate": 1e-4}

    def tuned(freezing: str, regularizer: str = "none", **own: float) -> Strategy:
        names = {**trained, "freezing": freezing, "regularizer": regularizer}
        given = {f"freezing.{freezing}.{name}": value for name, value in own.items()}
        return space.strategy(
            BACKBONE, names, {**rates, **given, f"freezing.{freezing}.depth": 0.5}
        )

    both = space.strategy(f"{BACKBONE} + {OTHER}", probe)
    taught = tuned("wise-ft", "distillation")
    teacher = json.dumps([both.to_dict()], sort_keys=True)
    return {
        "linear probe": space.strategy(BACKBONE, probe),
        "on both": both,
        "LP-FT": tuned("lp-ft"),
        **{f"WiSE-FT {share}": tuned("wise-ft", start_share=share) for share in (0.3, 0.5, 0.7)},
        "WiSE-FT 0.5, distilled": replace(
            taught, regularizer=replace(taught.regularizer, teacher=teacher)
        ),
    }


def draws(
    task: str, arguments: argparse.Namespace, folder: Path, size: int = SIZE
) -> Iterator[tuple[TrainingParts, Part]]:
    """What is trained on, and the images to classify, of so many pixels."""
    paths, names, shots = outside_test(task, arguments)
    classes = sorted(shots)
    labels = np.array([classes.index(name) for name in names])
    whole = Part.whole(ImageCache(folder / "images").load(paths, size, labels))
    for draw in range(arguments.draws):
        random = np.random.default_rng(draw)
        drawn = [
            random.permutation(np.flatnonzero(names == each))[: min(n, MOST_SHOTS)]
            for each, n in shots.items()
        ]
        rows = np.sort(np.concatenate(drawn))
        target = whole.take(rows)
        held_out = whole.take(np.setdiff1d(np.arange(len(labels)), rows))
        yield TrainingParts(len(classes), target, None, (target.without_labels(),)), held_out


def evaluate(
    way: Strategy, parts: TrainingParts, held_out: Part, context: FitContext, space: Space
) -> tuple[float, float]:
    """Accuracy in per cent and log-loss."""
    probabilities = fit_strategy(way, parts, (), context, space.classes).fitted.predict(held_out)
    labels = held_out.labels
    accuracy = 100 * float(np.mean(probabilities.argmax(1) == labels))
    return accuracy, mean_log_loss(labels, probabilities)


def cells(row) -> str:
    """Accuracy and log-loss of each way."""
    return " | ".join(f"{accuracy:.1f}, {loss:.3f}" for accuracy, loss in row)


if __name__ == "__main__":
    main()
