"""Every component: parameters, lines, tests, and seconds of a fit on a toy domain.

    python studies/benchmarks/components.py

Lines are those of the component's file. Tests are the test functions of the files under tests/ that
import its module, and after the plus the conformance checks that it passes. Seconds: the simplest
admissible strategy with this component, on 32 source and 20 target images of 24 pixels in 2 classes
with an untrained small ResNet, 5 epochs where it trains by gradient. Backbones, estimators and
validators are not fitted and have no time.
"""

import ast
import inspect
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import timm
import torch
from safetensors.torch import save_file

from automl_xfer.components import AXES, BackboneRequest, Strategy
from automl_xfer.data.image_set import ImageSet
from automl_xfer.errors import AutomlXferError
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.space.compose import Space
from automl_xfer.testing import checks_for
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.parts import Part, TrainingParts

ROOT = Path(__file__).parents[2]
NAMES = ("one", "two")
COMMON = frozenset({"source", "two_sources", "few_classes", "unlabelled"})


def main() -> None:
    """Print the table."""
    catalog = PluginSource().load()[1]
    tests = tests_by_module()
    print("| axis | component | parameters | lines | tests | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        weights = toy_weights(Path(folder))
        spaces = [
            Space(
                catalog.classes,
                catalog.backbones(BackboneRequest(weights_dir=weights)),
                COMMON | {known},
            )
            for known in ("target_labels", "no_target_labels")
        ]
        for axis, entries in catalog.entries.items():
            for name, entry in entries.items():
                made = entry.component
                lines = len(Path(inspect.getfile(made)).read_text().splitlines())
                parameters = ", ".join(made.parameter_ranges()) or "none"
                own = f"{tests.get(made.__module__, 0)} + {len(checks_for(made))}"
                seconds = "" if axis not in AXES[1:] else timed(spaces, axis, name, Path(folder))
                print(
                    f"| {axis} | {name} | {parameters} | {lines} | {own} | {seconds} |", flush=True
                )


def tests_by_module() -> dict[str, int]:
    """Module -> test functions in the files that import it."""
    counts: dict[str, int] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = sum(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in ast.walk(tree)
        )
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        for module in modules:
            counts[str(module)] = counts.get(str(module), 0) + functions
    return counts


def toy_weights(folder: Path) -> Path:
    """An untrained ResNet in timm's local layout, as a pretrained model."""
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=10)
    cfg = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.25] * 3}
    cfg |= {"num_classes": 10, "classifier": "fc"}
    config = {"architecture": "resnet10t", "num_classes": 10, "pretrained_cfg": cfg}
    (folder / "weights" / "toy").mkdir(parents=True)
    (folder / "weights" / "toy" / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "weights" / "toy" / "model.safetensors")
    return folder / "weights"


def timed(spaces: list[Space], axis: str, name: str, folder: Path) -> str:
    """Seconds of a fit, the features included; with target labels where that is admissible."""
    for space in spaces:
        try:
            strategy = quick(space.strategy(names={axis: name}), space)
        except AutomlXferError:
            continue
        parts = toy_parts(folder, "target_labels" in space.facts)
        with tempfile.TemporaryDirectory() as fresh:
            context = FitContext("cpu", 0, FeatureCache(Path(fresh)))
            started = perf_counter()
            fit_strategy(strategy, parts, NAMES, context, space.classes)
            return f"{perf_counter() - started:.2f}"
    return "not admissible"


def quick(strategy: Strategy, space: Space) -> Strategy:
    """Five epochs of small batches, and a teacher where one is needed."""
    if strategy.optimization.epochs:
        short = replace(strategy.optimization, epochs=5, batch_size=16)
        strategy = replace(strategy, optimization=short)
    if strategy.regularizer.distils:
        teachers = json.dumps([space.strategy(names={"freezing": "linear-probe"}).to_dict()])
        strategy = replace(strategy, regularizer=replace(strategy.regularizer, teacher=teachers))
    return strategy


def toy_parts(folder: Path, labelled: bool) -> TrainingParts:
    """A bright left half against a bright top; the source is redder."""

    def part(name: str, n: int, shift: int) -> Part:
        random, labels = np.random.default_rng(n), np.arange(n) % 2
        images = random.integers(0, 60, (n, 24, 24, 3))
        for image, label in zip(images, labels, strict=True):
            image[np.s_[:, :12] if label == 0 else np.s_[:12]] += 120
        images[..., 0] += shift
        np.save(folder / f"{name}.npy", images.clip(0, 255).astype(np.uint8))
        return Part.whole(ImageSet(folder / f"{name}.npy", name, labels))

    source = replace(part("source", 32, 80), domains=np.repeat([0, 1], 16))
    target = part("target", 20, 0)
    return TrainingParts(2, target if labelled else None, source, (target.without_labels(),))


if __name__ == "__main__":
    main()
