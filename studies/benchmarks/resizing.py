"""Fine-tuning on images that grow with the epochs, beside images of one size, on no test image.

    python studies/benchmarks/resizing.py --shared ../shared

For each of the fixed tasks with few labels, on images that `fine_tuning.py` draws: one backbone all
of whose stages train for 20 epochs at 224 pixels, from a new head and as WiSE-FT, with flipped
crops of one size (flip-crop) and of growing ones (progressive-resizing). Prints accuracy in per
cent, log-loss and seconds of each fit with its predictions, and the means over tasks and draws.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from fine_tuning import BACKBONE, asked, draws, evaluate

from automl_xfer.components import Strategy
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache

SIZE = 224
RATES = {"full": 3e-4, "wise-ft": 1e-4}
SMALLEST = (0.45, 0.6)


def main() -> None:
    """Print one row per task and draw, and the means."""
    arguments, space = asked(__doc__.splitlines()[0])
    ways = strategies(space)
    print(f"| task | draw | {' | '.join(ways)} |\n|{' --- |' * (2 + len(ways))}")
    table = []
    for task in arguments.tasks:
        with tempfile.TemporaryDirectory() as folder:
            for draw, (parts, held_out) in enumerate(draws(task, arguments, Path(folder), SIZE)):
                row = []
                for number, way in enumerate(ways.values()):
                    cache = FeatureCache(Path(folder) / f"features-{draw}-{number}")
                    context = FitContext("cpu", draw, cache)
                    started = perf_counter()
                    scores = evaluate(way, parts, held_out, context, space)
                    row.append((*scores, perf_counter() - started))
                table.append(row)
                print(f"| {task} | {draw} | {cells(row)} |", flush=True)
    print(f"| mean | | {cells(np.mean(table, axis=0))} |")


def strategies(space: Space) -> dict[str, Strategy]:
    """Title -> strategy."""
    named = {"alignment": "none", "head": "logistic-regression", "optimization": "adamw"}
    found = {}
    for freezing, rate in RATES.items():
        names = {**named, "freezing": freezing, "regularizer": "none"}
        head = "linear" if freezing == "full" else "logistic-regression"
        rates = {"optimization.adamw.epochs": 20, "optimization.adamw.learning_rate": rate}
        policies = {"flip-crop": {}} | {
            f"growing from {smallest}": {"augmentation.progressive-resizing.smallest": smallest}
            for smallest in SMALLEST
        }
        for title, own in policies.items():
            policy = "progressive-resizing" if own else "flip-crop"
            found[f"{freezing}, {title}"] = space.strategy(
                BACKBONE, {**names, "head": head, "augmentation": policy}, {**rates, **own}
            )
    return found


def cells(row) -> str:
    """Accuracy, log-loss and seconds of each way."""
    return " | ".join(f"{score:.1f}, {loss:.3f}, {took:.0f} s" for score, loss, took in row)


if __name__ == "__main__":
    main()
