"""Batches for gradient training: labelled domains side by side, and unlabelled target images."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.transfer.model import to_tensor
from automl_xfer.transfer.parts import Part

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledBatch:
    """Some images of one labelled domain; `rows` are their places in its part."""

    pixels: Tensor  # (N, 3, H, W) uint8
    labels: Tensor  # (N,) int64
    rows: Tensor  # (N,) int64


@dataclass
class BatchLoader:
    """Draws aligned batches: each labelled domain's, and unlabelled target images.

    A domain with `weights` (N,) is drawn by them, with replacement, so that whatever looks at its
    batches sees what counts. A target batch has at least `least_target` images.
    """

    domains: dict[str, Part]
    unlabelled: tuple[Part, ...]
    batch_size: int
    seed: int
    device: str
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    least_target: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._lead = next(iter(self.domains.values()))

    @property
    def steps(self) -> int:
        """Steps in one epoch: a pass over the first labelled domain."""
        return -(-len(self._lead) // self.batch_size)

    def epoch(self) -> Iterator[tuple[dict[str, LabelledBatch], Tensor | None]]:
        """One epoch of ({domain: batch}, unlabelled target pixels uint8 or None)."""
        orders = {name: self._order(len(part), name) for name, part in self.domains.items()}
        total = sum(len(part) for part in self.unlabelled)
        target_order = self._target_order(total) if total else None
        # Batches of nearly equal size: batch norm cannot train on a last batch of one image.
        batches = {name: np.array_split(order, self.steps) for name, order in orders.items()}
        targets = None if target_order is None else np.array_split(target_order, self.steps)
        for step in range(self.steps):
            labelled = {
                name: self._labelled(self.domains[name], rows[step])
                for name, rows in batches.items()
            }
            yield (
                labelled,
                None
                if targets is None
                else part_pixels(self.unlabelled, targets[step], self.device),
            )

    def _order(self, n: int, domain: str) -> Rows:
        """Enough shuffled passes over `n` images for one epoch, whole at the lead's length."""
        if domain in self.weights:
            share = self.weights[domain] / self.weights[domain].sum()
            needed = n if n == len(self._lead) else self.steps * self.batch_size
            return self._random.choice(n, needed, p=share)
        if n == len(self._lead):
            return self._random.permutation(n)
        return self._passes(n, self.steps * self.batch_size)

    def _target_order(self, n: int) -> Rows:
        """Unlabelled images for one epoch, shuffled pass after shuffled pass."""
        return self._passes(n, self.steps * max(self.batch_size, self.least_target))

    def _passes(self, n: int, needed: int) -> Rows:
        passes = [self._random.permutation(n) for _ in range(-(-needed // n))]
        return np.concatenate(passes)[:needed]

    def _labelled(self, part: Part, rows: Rows) -> LabelledBatch:
        assert part.labels is not None
        rows = rows[np.argsort(part.indices[rows])]  # in the order of the file
        pixels = to_tensor(part.image_set.images[part.indices[rows]], self.device)
        labels = torch.from_numpy(part.labels[rows]).to(self.device)
        return LabelledBatch(pixels, labels, torch.from_numpy(rows).to(self.device))


def part_pixels(parts: tuple[Part, ...], rows: Rows, device: str) -> Tensor:
    """uint8 (N, 3, H, W) images of several parts counted through, in the parts' order."""
    blocks, start = [], 0
    for part in parts:
        mine = rows[(rows >= start) & (rows < start + len(part))] - start
        if len(mine):
            blocks.append(part.image_set.images[np.sort(part.indices[mine])])
        start += len(part)
    return to_tensor(np.concatenate(blocks), device)
