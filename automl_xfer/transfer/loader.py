"""Batches for gradient training: labelled domains side by side, and unlabelled target images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.transfer.model import to_tensor
from automl_xfer.transfer.parts import Part


@dataclass
class BatchLoader:
    """Draws aligned batches: each labelled domain's, and unlabelled target images."""

    domains: dict[str, Part]
    unlabelled: tuple[Part, ...]
    batch_size: int
    seed: int
    device: str

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._lead = next(iter(self.domains.values()))

    @property
    def steps(self) -> int:
        """Steps in one epoch: a pass over the first labelled domain."""
        return -(-len(self._lead) // self.batch_size)

    def epoch(self) -> Iterator[tuple[dict[str, tuple[Tensor, Tensor]], Tensor | None]]:
        """One epoch of ({domain: (pixels uint8, labels int64)}, unlabelled pixels or None)."""
        orders = {name: self._order(len(part)) for name, part in self.domains.items()}
        sizes = [len(part) for part in self.unlabelled]
        target_order = self._order(sum(sizes)) if sum(sizes) else None
        # Batches of nearly equal size: batch norm cannot train on a last batch of one image.
        batches = {name: np.array_split(order, self.steps) for name, order in orders.items()}
        targets = None if target_order is None else np.array_split(target_order, self.steps)
        for step in range(self.steps):
            labelled = {
                name: self._labelled(self.domains[name], rows[step])
                for name, rows in batches.items()
            }
            yield labelled, None if targets is None else self._pixels(targets[step])

    def _order(self, n: int) -> NDArray[np.int64]:
        """Enough shuffled passes over `n` images for one epoch, whole at the lead's length."""
        if n == len(self._lead):
            return self._random.permutation(n)
        needed = self.steps * self.batch_size
        passes = [self._random.permutation(n) for _ in range(-(-needed // n))]
        return np.concatenate(passes)[:needed]

    def _labelled(self, part: Part, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        assert part.labels is not None
        pixels = to_tensor(part.image_set.images[np.sort(part.indices[rows])], self.device)
        order = np.argsort(part.indices[rows])
        return pixels, torch.from_numpy(part.labels[rows][order]).to(self.device)

    def _pixels(self, rows: NDArray[np.int64]) -> Tensor:
        blocks, start = [], 0
        for part in self.unlabelled:
            mine = rows[(rows >= start) & (rows < start + len(part))] - start
            if len(mine):
                blocks.append(part.image_set.images[np.sort(part.indices[mine])])
            start += len(part)
        return to_tensor(np.concatenate(blocks), self.device)
