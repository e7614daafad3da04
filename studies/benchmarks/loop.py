"""Images per second of our training loop over a bare PyTorch loop with the same work.

    python studies/benchmarks/loop.py --shared ../shared

Full fine-tuning of one backbone with the flip-crop augmentation and AdamW: the same images, batch
size, precision, memory layout and frozen batch-norm statistics on both sides. The bare loop holds
the images as one tensor and does nothing else. Both sides take turns epoch by epoch, so that what
else the machine does falls on both alike. Not in it: building the backbone, and what our side does
after the last epoch.
"""

import argparse
import copy
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np
import torch
from automl_xfer_plugins.augmentation.flip_crop import FlipCrop
from torch import nn

from automl_xfer.components import BackboneRequest, StagedModel
from automl_xfer.data.image_set import ImageSet
from automl_xfer.plugin.source import PluginSource
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.gradient import train
from automl_xfer.transfer.parts import Part, TrainingParts

CLASSES = 10


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--backbone", default="mobilenetv2_100.in1k")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.epochs < 4:
        parser.error("--epochs must be 4 or more: the first is left out, the others have quartiles")
    with tempfile.TemporaryDirectory() as folder:
        strategy, parts, context = ours(arguments, Path(folder))
        start = strategy.backbone.build()
        theirs = bare(arguments, copy.deepcopy(start), parts.target)
        turns = Turns(arguments.device, theirs)
        train(strategy, parts, context, start, on_epoch=turns.take)
    turns.tell(arguments.images)


class Turns:
    """An epoch of ours, one of the bare loop, and so on: seconds of each."""

    def __init__(self, device: str, theirs: Iterator[None]) -> None:
        self.device, self.theirs = device, theirs
        self.ours: list[float] = []
        self.bare: list[float] = []
        self.began = perf_counter()

    def take(self, epoch: int, model: object) -> None:
        """After an epoch of ours, one of theirs. The first of each also prepares."""
        self.ours.append(self._since(self.began))
        began = perf_counter()
        next(self.theirs)
        self.bare.append(self._since(began))
        self.began = perf_counter()

    def _since(self, began: float) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return perf_counter() - began

    def tell(self, images: int) -> None:
        """Both rates and their ratio, without the first epoch, and all seconds with it."""
        for name, seconds in (("ours", self.ours), ("bare", self.bare)):
            rate = images / median(seconds[1:])
            print(f"{name}: {rate:.1f} images/s (median), first epoch {seconds[0]:.2f} s")
        ratios = [theirs / mine for mine, theirs in zip(self.ours[1:], self.bare[1:], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        print(f"ratio: median of {len(ratios)} pairs of epochs {middle:.3f}", end=" ")
        print(f"(half of them {low:.3f} to {high:.3f})")
        print(f"ratio of all seconds, with the first epoch: {sum(self.bare) / sum(self.ours):.3f}")


def ours(arguments: argparse.Namespace, folder: Path):
    """A strategy, images of noise to train it on, and the context."""
    catalog = PluginSource().load()[1]
    request = BackboneRequest((arguments.backbone,), arguments.shared / "weights")
    space = Space(catalog.classes, catalog.backbones(request), frozenset({"target_labels"}))
    names = {
        "freezing": "full",
        "augmentation": "flip-crop",
        "head": "linear",
        "optimization": "adamw",
    }
    strategy = space.strategy(arguments.backbone, names, {})
    tuned = replace(strategy.optimization, epochs=arguments.epochs, batch_size=arguments.batch)
    strategy = replace(strategy, optimization=tuned)
    random = np.random.default_rng(0)
    shape = (arguments.images, arguments.size, arguments.size, 3)
    np.save(folder / "images.npy", random.integers(0, 256, shape, np.uint8))
    labels = np.arange(arguments.images) % CLASSES
    images = ImageSet(folder / "images.npy", "noise", labels)
    target = Part.whole(images)
    parts = TrainingParts(CLASSES, target, None, (target.without_labels(),))
    return strategy, parts, FitContext(arguments.device, 0, FeatureCache(folder / "cache"))


def bare(arguments: argparse.Namespace, backbone: StagedModel, part: Part) -> Iterator[None]:
    """What one writes without a library, an epoch at a time."""
    device = arguments.device
    images = torch.from_numpy(np.array(part.image_set.images)).permute(0, 3, 1, 2).to(device)
    labels = torch.from_numpy(part.labels).to(device)
    head = nn.Linear(backbone.feature_dim, CLASSES)
    model = nn.Sequential(backbone, head).to(device).to(memory_format=torch.channels_last)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    augment = FlipCrop().transform(arguments.size)
    cuda = device.startswith("cuda")
    for _ in range(arguments.epochs):
        for rows in torch.randperm(len(labels), device=device).split(arguments.batch):
            with torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext():
                logits = model(backbone.normalise(augment(images[rows])))
                loss = nn.functional.cross_entropy(logits, labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        yield


if __name__ == "__main__":
    main()
