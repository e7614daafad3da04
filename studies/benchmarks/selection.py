"""Which rule chooses best among strategies that were scored on few labelled images.

    python studies/benchmarks/selection.py --shared ../shared --keep DIR

For draws of few images per class from PACS and Office-Caltech10, every frozen strategy of a fixed
list is cross-validated as a trial of the search is, fitted on all labelled images and asked for 250
other images of the domain. No image is a test image of ../shared/tasks. Then each rule chooses by
the held-out predictions alone; printed is the accuracy in per cent on the other images of what it
chose, and how many models that is. Draws that --keep holds are read and not made again.
"""

import argparse
import csv
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from automl_xfer.components import BackboneRequest, Strategy
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.evaluation.evidence import evidence_weights
from automl_xfer.evaluation.metrics import log_scores
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.ensemble import alone_if_as_good, ensemble_weights, greedy_weights
from automl_xfer.search.plan import fold_parts, make_plan, training_parts
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.parts import Part, StudyData

SIZE, ASKED = 160, 250
DOMAINS = ("pacs/cartoon", "pacs/art_painting", "office_caltech10/amazon", "pacs/photo")
DRAWS = [
    *((domain, 5, seed) for seed in (1, 2) for domain in DOMAINS),
    ("pacs/cartoon", 20, 1),
]


def main() -> None:
    """Every draw, then the table of the rules."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--keep", type=Path, help="folder for the draws (default: temporary)")
    arguments = parser.parse_args()
    keep = arguments.keep or Path(tempfile.mkdtemp())
    keep.mkdir(parents=True, exist_ok=True)
    draws = {}
    for domain, shot, seed in DRAWS:
        name = f"{domain.replace('/', '-')}-{shot}-{seed}"
        file = keep / f"{name}.npz"
        if not file.exists():
            np.savez_compressed(file, **draw(domain, shot, seed, arguments.shared, keep))
        draws[name] = dict(np.load(file))
    print(f"| rule | {' | '.join(draws)} | mean | models |\n| --- |{' --- |' * (len(draws) + 2)}")
    for title, rule in RULES.items():
        accuracies, models = zip(*(outcome(rule, each) for each in draws.values()), strict=True)
        values = (*accuracies, float(np.mean(accuracies)), float(np.mean(models)))
        print(f"| {title} | {' | '.join(f'{value:.1f}' for value in values)} |")


def draw(domain: str, shot: int, seed: int, shared: Path, keep: Path) -> dict[str, np.ndarray]:
    """Labels, and the probabilities of every strategy on held-out and on other images."""
    paths = [p.resolve() for p in sorted((shared / "data" / domain).glob("*/*"))]
    tested = test_images(shared)
    paths = [path for path in paths if path not in tested]
    paths = [paths[row] for row in np.random.default_rng(7).permutation(len(paths))]
    asked, rest = paths[:ASKED], sorted(paths[ASKED:])
    classes = sorted({path.parent.name for path in paths})
    random, drawn = np.random.default_rng(100 * seed + shot), []
    for name in classes:
        of_class = [path for path in rest if path.parent.name == name]
        drawn += [of_class[row] for row in random.permutation(len(of_class))[:shot]]
    labels, truth = (
        np.array([classes.index(path.parent.name) for path in each]) for each in (drawn, asked)
    )
    cache = ImageCache(keep / "images")
    data = StudyData(tuple(classes), SIZE, cache.load(drawn, SIZE, labels))
    other = Part.whole(cache.load(asked, SIZE, truth))
    plan, context = make_plan(data, "accuracy", 0), FitContext("cpu", 0, FeatureCache(keep))
    held_out, predicted = [], []
    for strategy in strategies(shared):
        rows = np.full((len(labels), len(classes)), np.nan, np.float32)
        for parts, part in fold_parts(data, plan):
            rows[part.indices] = fit(strategy, parts, context).predict(part)
        held_out.append(rows)
        predicted.append(fit(strategy, training_parts(data), context).predict(other))
    return {
        "labels": labels,
        "held_out": np.stack(held_out),
        "truth": truth,
        "predicted": np.stack(predicted),
    }


def test_images(shared: Path) -> set[Path]:
    """The images that a fixed task tests on."""
    found = set()
    for table in (shared / "tasks").glob("*.csv"):
        rows = csv.DictReader(table.open(newline=""))
        found |= {(table.parent / r["image"]).resolve() for r in rows if r["split"] == "test"}
    return found


def strategies(shared: Path) -> list[Strategy]:
    """Two heads on every backbone and fusion of two, as it is and with adapted batch norms."""
    catalog = PluginSource().load()[1]
    backbones = catalog.backbones(BackboneRequest(weights_dir=shared / "weights"))
    space = Space(catalog.classes, backbones, frozenset({"target_labels", "few_classes"}))
    return [
        space.strategy(
            backbone.label, {"freezing": "linear-probe", "head": head, "alignment": name}, values
        )
        for backbone in backbones
        if backbone.initialisation == "pretrained"
        for name, values in (("none", {}), ("adabn", {"alignment.adabn.mix": 0.5}))
        for head in ("logistic-regression", "nearest-class-mean")
    ]


Given = np.ndarray
"""(M, N): what each strategy gave each held-out image's own label."""


def one(place: int, n: int) -> np.ndarray:
    """All the weight on one strategy."""
    return np.eye(n)[place]


def together(given: Given) -> np.ndarray:
    """The weights of the finalists."""
    return ensemble_weights(given, log_scores(given), range(len(given)))


RULES: dict[str, Callable[[np.ndarray, Given], np.ndarray]] = {
    "best by accuracy": lambda right, given: one(right.mean(1).argmax(), len(given)),
    "best by log score": lambda right, given: one(log_scores(given).mean(1).argmax(), len(given)),
    "all with equal weights": lambda right, given: np.full(len(given), 1 / len(given)),
    "greedy": lambda right, given: greedy_weights(given),
    "evidence": lambda right, given: evidence_weights(log_scores(given)),
    "evidence and greedy": lambda right, given: together(given),
    "ours: one if as good": lambda right, given: alone_if_as_good(
        together(given), given, range(len(given))
    ),
}


def outcome(rule: Callable[[np.ndarray, Given], np.ndarray], found: dict) -> tuple[float, int]:
    """(per cent of the other images that the chosen ensemble names rightly, its models)."""
    labels, held_out = found["labels"], found["held_out"]
    given = held_out[:, np.arange(len(labels)), labels]
    weights = rule(held_out.argmax(2) == labels, given)
    named = np.tensordot(weights, found["predicted"], axes=1).argmax(1)
    return 100 * float(np.mean(named == found["truth"])), np.count_nonzero(weights)


if __name__ == "__main__":
    main()
