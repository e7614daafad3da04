"""Batches for gradient training: labelled domains side by side, and unlabelled target images."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.parts import Part, Rows
from automl_xfer.transfer.pixels import read_pixels, stays_on_device
from automl_xfer.transfer.stage_cache import FrozenPrefix, View


@dataclass(frozen=True)
class Images:
    """A batch on its way through the backbone.

    uint8 pixels (N, 3, H, W), not varied yet, where `start` is 0; else the activations (N, ...)
    that stage `start` takes.
    """

    values: Tensor
    start: int = 0

    def split(self, n: int) -> list["Images"]:
        """Nearly equal parts in their order."""
        return [Images(values, self.start) for values in self.values.tensor_split(n)]


class Reader(Protocol):
    """How the images of a part are read in an epoch (0-based)."""

    def __call__(self, part: Part, rows: Rows, epoch: int) -> Images: ...


@dataclass(frozen=True)
class PixelReader:
    """Reads decoded images; those of a set for which a GPU has room are handed over once."""

    device: str
    _resident: dict[Path, Tensor | None] = field(default_factory=dict)  # uint8 (N, H, W, 3)

    def __call__(self, part: Part, rows: Rows, epoch: int) -> Images:
        """The pixels of the images at `rows`."""
        places = part.indices[rows]
        resident = self._whole(part.image_set)
        if resident is None:
            return Images(read_pixels(part.image_set, places, self.device))
        return Images(resident[torch.from_numpy(places).to(self.device)].permute(0, 3, 1, 2))

    def _whole(self, images: ImageSet) -> Tensor | None:
        if images.path not in self._resident:
            stays = stays_on_device(images, self.device)
            whole = read_pixels(images, np.arange(len(images)), self.device) if stays else None
            self._resident[images.path] = None if whole is None else whole.permute(0, 2, 3, 1)
        return self._resident[images.path]


@dataclass(frozen=True)
class ActivationReader:
    """Reads what the frozen stages put out, in the view of each epoch."""

    prefix: FrozenPrefix
    views: list[View]

    def __call__(self, part: Part, rows: Rows, epoch: int) -> Images:
        """The activations of the images at `rows`."""
        view = self.views[epoch]
        return Images(self.prefix.read(part, rows, view), self.prefix.boundary)


@dataclass(frozen=True)
class LabelledBatch:
    """Some images of one labelled domain; `rows` are their places in its part."""

    images: Images
    labels: Tensor  # (N,) int64
    rows: Tensor  # (N,) int64

    def split(self, n: int) -> list["LabelledBatch"]:
        """Nearly equal parts in their order."""
        parts = (self.images.split(n), self.labels.tensor_split(n), self.rows.tensor_split(n))
        return [LabelledBatch(*each) for each in zip(*parts, strict=True)]


def split_batch(
    labelled: dict[str, LabelledBatch], target: Images | None, n: int, least_target: int = 2
) -> list[tuple[dict[str, LabelledBatch], Images | None, float]]:
    """Up to n parts of a step with their share of it; two images of each domain at least.

    Each part has `least_target` unlabelled target images, as the alignment method asks for. What
    a loss measures over a batch, such as its mean, it then measures over the part.
    """
    most = [len(batch.labels) // 2 for batch in labelled.values()]
    most += [len(target.values) // max(2, least_target)] if target is not None else []
    n = max(1, min(n, *most))
    if n == 1:
        return [(labelled, target, 1.0)]
    parts = {name: batch.split(n) for name, batch in labelled.items()}
    targets = [None] * n if target is None else target.split(n)
    lead = next(iter(parts.values()))
    total = sum(len(each.labels) for each in lead)
    return [
        ({name: each[k] for name, each in parts.items()}, targets[k], len(lead[k].labels) / total)
        for k in range(n)
    ]


@dataclass
class BatchLoader:
    """Draws aligned batches: each labelled domain's, and unlabelled target images.

    A domain with `weights` (N,) is drawn by them, with replacement, so that whatever looks at its
    batches sees what counts. A target batch has at least `least_target` images.
    The reader of the unlabelled images goes by the name `unlabelled`.
    """

    domains: dict[str, Part]
    unlabelled: tuple[Part, ...]
    batch_size: int
    seed: int
    device: str
    readers: dict[str, Reader] = field(default_factory=dict)  # domain -> pixels if not there
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    least_target: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._lead = next(iter(self.domains.values()))
        self._pixels = PixelReader(self.device)

    @property
    def steps(self) -> int:
        """Steps in one epoch: a pass over the first labelled domain."""
        return -(-len(self._lead) // self.batch_size)

    def draws(self, domain: str) -> int:
        """Images of a labelled domain, or of the `unlabelled`, that one epoch draws, about."""
        least = self.least_target if domain == "unlabelled" else 0
        return self.steps * max(self.batch_size, least)

    def epoch(self, number: int) -> Iterator[tuple[dict[str, LabelledBatch], Images | None]]:
        """Epoch `number` (0-based) of ({domain: batch}, unlabelled target images or None)."""
        orders = {name: self._order(len(part), name) for name, part in self.domains.items()}
        total = sum(len(part) for part in self.unlabelled)
        target_order = self._passes(total, self.draws("unlabelled")) if total else None
        # Batches of nearly equal size: batch norm cannot train on a last batch of one image.
        batches = {name: np.array_split(order, self.steps) for name, order in orders.items()}
        targets = None if target_order is None else np.array_split(target_order, self.steps)
        for step in range(self.steps):
            labelled = {
                name: self._labelled(name, rows[step], number) for name, rows in batches.items()
            }
            yield labelled, None if targets is None else self._unlabelled(targets[step], number)

    def _order(self, n: int, domain: str) -> Rows:
        """Enough shuffled passes over `n` images for one epoch, whole at the lead's length."""
        if domain in self.weights:
            share = self.weights[domain] / self.weights[domain].sum()
            needed = n if n == len(self._lead) else self.draws(domain)
            return self._random.choice(n, needed, p=share)
        if n == len(self._lead):
            return self._random.permutation(n)
        return self._passes(n, self.draws(domain))

    def _passes(self, n: int, needed: int) -> Rows:
        passes = [self._random.permutation(n) for _ in range(-(-needed // n))]
        return np.concatenate(passes)[:needed]

    def _labelled(self, domain: str, rows: Rows, epoch: int) -> LabelledBatch:
        part = self.domains[domain]
        assert part.labels is not None
        rows = rows[np.argsort(part.indices[rows])]  # in the order of the file
        images = self._reader(domain)(part, rows, epoch)
        labels = torch.from_numpy(part.labels[rows]).to(self.device)
        return LabelledBatch(images, labels, torch.from_numpy(rows).to(self.device))

    def _unlabelled(self, rows: Rows, epoch: int) -> Images:
        read = self._reader("unlabelled")
        blocks = [read(part, each, epoch) for part, each in _by_part(self.unlabelled, rows)]
        return Images(torch.cat([each.values for each in blocks]), blocks[0].start)

    def _reader(self, domain: str) -> Reader:
        return self.readers.get(domain, self._pixels)


def _by_part(parts: tuple[Part, ...], rows: Rows) -> Iterator[tuple[Part, Rows]]:
    """(part, its rows in the order of the file) of several parts counted through."""
    start = 0
    for part in parts:
        mine = rows[(rows >= start) & (rows < start + len(part))] - start
        if len(mine):
            yield part, mine[np.argsort(part.indices[mine])]
        start += len(part)


def part_pixels(parts: tuple[Part, ...], rows: Rows, device: str) -> Tensor:
    """uint8 (N, 3, H, W) images of several parts counted through, in the parts' order."""
    blocks = _by_part(parts, rows)
    return torch.cat(
        [read_pixels(each.image_set, each.indices[mine], device) for each, mine in blocks]
    )
