"""Label shift: one target class at 5 times the others' share, with and without correction.

Called by adaptation.py. Each class of webcam (source: amazon) and art (source: photo) in turn has
5 times the images of every other one; strategies are fitted on all source rows and scored on the
unlabelled target images, whose labels only this script knows.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from automl_xfer.components import BackboneRequest
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.plugin.source import PluginSource
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.parts import Part, TrainingParts

TIMES = 5
PAIRS = (("office_caltech10", "amazon", "webcam"), ("pacs", "photo", "art_painting"))
STRATEGIES = {
    "source-only": ("none", {}),
    "source-only, label-shift correction": ("label-shift", {}),
    "target-mixture, equal classes": ("target-mixture", {"prior": "equal"}),
    "target-mixture, estimated": ("target-mixture", {"prior": "estimated"}),
    "target-mixture, likelier": ("target-mixture", {"prior": "likelier"}),
    "adabn-target-mixture, equal classes": ("adabn-target-mixture", {"prior": "equal"}),
    "adabn-target-mixture, estimated": ("adabn-target-mixture", {"prior": "estimated"}),
    "adabn-target-mixture, likelier": ("adabn-target-mixture", {"prior": "likelier"}),
}
BACKBONE = "mobilenetv1_100.in1k"
SIZE = 160


def print_shift(arguments: argparse.Namespace) -> None:
    """A Markdown table: mean accuracy over the classes that are the frequent one."""
    rows = {name: [] for name in STRATEGIES}
    for family, source, target in PAIRS:
        for name, values in shifted_scores(arguments, family, source, target).items():
            rows[name].append(values)
    titles = [f"{source} to {target}" for _, source, target in PAIRS]
    print(f"\n| strategy | {' | '.join(titles)} |\n| --- |{' --- |' * len(titles)}")
    for name, columns in rows.items():
        cells = [f"{np.mean(v):.1f} (least {min(v):.1f})" for v in columns]
        print(f"| {name} | {' | '.join(cells)} |")


def shifted_scores(
    arguments: argparse.Namespace, family: str, source: str, target: str
) -> dict[str, list[float]]:
    """Strategy -> accuracy in per cent for each class as the frequent one."""
    from adaptation import accuracy, images

    catalog = PluginSource().load()[1]
    request = BackboneRequest((BACKBONE,), (arguments.shared / "weights").resolve())
    backbones = [b for b in catalog.backbones(request) if b.label == BACKBONE]
    facts = frozenset({"source", "unlabelled", "no_target_labels", "few_classes"})
    space = Space(catalog.classes, tuple(backbones), facts)
    scores: dict[str, list[float]] = {name: [] for name in STRATEGIES}
    with tempfile.TemporaryDirectory() as folder:
        cache = ImageCache(Path(folder))
        context = FitContext("cpu", 0, FeatureCache(Path(folder)))
        known = images(arguments, family, source)
        names = sorted({row["label"] for row in known})
        numbers = np.array([names.index(row["label"]) for row in known])
        labelled = cache.load([Path(row["image"]) for row in known], SIZE, numbers)
        pool = images(arguments, family, target)
        for frequent in range(len(names)):
            drawn = draw(pool, names, frequent)
            seen = cache.load([Path(row["image"]) for row in drawn], SIZE)
            truth = np.array([names.index(row["label"]) for row in drawn])
            part = Part.whole(seen)
            parts = TrainingParts(len(names), None, Part.whole(labelled), (part,))
            for name, (alignment, parameters) in STRATEGIES.items():
                values = {f"alignment.{alignment}.{key}": v for key, v in parameters.items()}
                chosen = {"freezing": "linear-probe", "alignment": alignment}
                chosen["head"] = "logistic-regression"
                strategy = space.strategy(BACKBONE, chosen, values)
                predicted = fit(strategy, parts, context).predict(part)
                scores[name].append(accuracy(predicted, truth))
            print(
                target, names[frequent], len(drawn), *(s[-1] for s in scores.values()), flush=True
            )
    return scores


def draw(pool: list[dict[str, str]], names: list[str], frequent: int) -> list[dict[str, str]]:
    """Images of the pool in which the frequent class has 5 times the images of every other."""
    of_class = {name: [row for row in pool if row["label"] == name] for name in names}
    most = len(of_class[names[frequent]])
    each = min(most // TIMES, *(len(rows) for rows in of_class.values()))
    random = np.random.default_rng(0)
    drawn = []
    for name, rows in of_class.items():
        n = TIMES * each if name == names[frequent] else each
        drawn += [rows[k] for k in sorted(random.permutation(len(rows))[:n])]
    return drawn
