"""Activations at the freeze boundary, computed once and shared by all trials and processes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor, nn

from automl_xfer.components import AugmentationPolicy, StagedModel
from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.cache_folder import CacheFolder
from automl_xfer.transfer.device import autocast, batch_size
from automl_xfer.transfer.folding import fold_batch_norms, worth_folding
from automl_xfer.transfer.model import package_key, weights_key
from automl_xfer.transfer.parts import Part, Rows
from automl_xfer.transfer.pixels import pixel_batches

VIEWS = 8
"""Augmented training draws from so many versions of each image, in each size where it grows, where
they are cached."""

_SHARE_OF_LIMIT = 0.25
"""The views of one image set at one boundary may take this share of the cache folder."""


@dataclass(frozen=True)
class View:
    """One version of every image of a set: `vary` on uint8 batches, under a seed of its own."""

    key: str
    vary: Callable[[Tensor], Tensor] = field(default=lambda pixels: pixels, compare=False)

    @property
    def seed(self) -> int:
        """Decides what `vary` draws, the same in every process."""
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:6], "big")


PLAIN = View("plain")
FLIP = View("flip", lambda pixels: pixels.flip(3))


def training_views(policy: AugmentationPolicy, image_size: int, epochs: int) -> list[View]:
    """The view of each epoch of a training, which passes through 8 of each size in turn."""
    if type(policy).transform is AugmentationPolicy.transform:
        return [PLAIN] * epochs
    name = json.dumps(policy.to_dict(), sort_keys=True) + package_key(type(policy).__module__)
    sizes = training_sizes(policy, image_size, epochs)
    vary = {size: policy.transform(size) for size in sizes}
    numbers = [sizes[:epoch].count(size) % VIEWS for epoch, size in enumerate(sizes)]
    return [View(f"{name}/{s}/{n}", vary[s]) for s, n in zip(sizes, numbers, strict=True)]


def training_sizes(policy: AugmentationPolicy, image_size: int, epochs: int) -> list[int]:
    """The side of the training images in pixels in each epoch."""
    return [policy.training_size(image_size, epoch / epochs) for epoch in range(epochs)]


_sizes: dict[tuple[str, tuple[int, ...]], int] = {}
"""Numbers that one image has behind a boundary, by the key of its stages and the image's shape."""


class Section(nn.Module):
    """Stages `start` to `stop` of a backbone; without `stop`, to the end and through the pooling.

    From stage 0 it takes normalised images.
    """

    def __init__(self, backbone: StagedModel, start: int, stop: int | None = None) -> None:
        super().__init__()
        self.backbone, self.start, self.stop = backbone, start, stop

    def forward(self, activations: Tensor) -> Tensor:
        """(N, ...) activations before `start` -> those behind `stop`, or features (N, D)."""
        found: Tensor = self.backbone(activations, self.start, self.stop)
        return found


@dataclass(frozen=True)
class FrozenPrefix:
    """The first `boundary` stages of a backbone, which must not change while this is in use.

    What they put out is kept by content: the weights of these stages, the images and the view
    decide the file. It is computed from the deepest stage below that is already kept.
    """

    cache: CacheFolder
    backbone: StagedModel
    boundary: int
    device: str
    dtype: DTypeLike = np.float16

    def activations(self, image_set: ImageSet, view: View = PLAIN) -> NDArray[Any]:
        """(N, ...) of every image of the set, memory-mapped; maps lie channels-last."""
        path, n = self.cache.directory / self._name(image_set, view, self.boundary), len(image_set)
        found = self.cache.read_rows(path, n)
        if found is None:
            with suppress(OSError):  # a full disk
                self.cache.write_rows(path, n, self.dtype, self._compute(image_set, view))
            found = self.cache.read_rows(path, n)
        if found is None:  # not kept, or deleted at once: then for this time only
            found = np.concatenate(list(self._compute(image_set, view)))
        return found

    def read(self, part: Part, rows: Rows | None = None, view: View = PLAIN) -> Tensor:
        """(M, ...) float32 activations of the part's images at `rows`, or of all, on the device."""
        indices = part.indices if rows is None else part.indices[rows]
        return self.to_tensor(self.activations(part.image_set, view)[indices])

    def to_tensor(self, stored: NDArray[Any]) -> Tensor:
        """What is stored of some images -> float32 activations as the next stage takes them."""
        tensor = (
            torch.from_numpy(np.require(stored, requirements=["C", "W"])).to(self.device).float()
        )
        return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor

    def pays(self, image_set: ImageSet, n_views: int, draws: int) -> bool:
        """Whether a training that draws so many images costs at least half of what all views do.

        The other half is what later folds and trials save.
        """
        enough = 2 * draws >= n_views * len(image_set)
        return enough and self.fits(image_set, n_views)

    def fits(self, image_set: ImageSet, n_views: int) -> bool:
        """Whether so many views of the set take no more than their share of the folder."""
        size = self._bytes_per_image(image_set) * len(image_set) * n_views
        return size <= _SHARE_OF_LIMIT * self.cache.limit

    def _name(self, image_set: ImageSet, view: View, stage: int) -> str:
        kind = np.dtype(self.dtype).name
        text = f"{self._keys[stage]}/{image_set.key}/{view.key}/{kind}"
        return f"stages-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npy"

    @cached_property
    def _keys(self) -> list[str]:
        """One key per boundary, 0 for the images: it holds the weights of all stages below."""
        normalisation = f"{self.backbone.mean.tolist()}{self.backbone.std.tolist()}"
        digest = hashlib.sha256(f"{type(self.backbone.stages[0])}{normalisation}".encode())
        keys = [digest.hexdigest()]
        for stage in self.backbone.stages[: self.boundary]:
            digest.update(weights_key(stage).encode())
            keys.append(digest.hexdigest())
        return keys

    def _below(self, image_set: ImageSet, view: View) -> tuple[int, NDArray[Any] | None]:
        """The deepest boundary below whose activations are kept, and these; 0 for the images."""
        for stage in range(self.boundary - 1, 0, -1):
            path = self.cache.directory / self._name(image_set, view, stage)
            found = self.cache.read_rows(path, len(image_set))
            if found is not None:
                return stage, found
        return 0, None

    @torch.no_grad()
    def _compute(self, image_set: ImageSet, view: View) -> Iterator[NDArray[Any]]:
        """Batches (B, ...) of all images in their order."""
        start, below = self._below(image_set, view)
        self._make_ready()
        section: nn.Module = Section(self.backbone, start, self.boundary)
        inputs = self._images(image_set, view) if below is None else self._stored(below)
        for place, batch in enumerate(inputs):
            if place == 0 and worth_folding(_all_of(image_set), self.device):
                section = fold_batch_norms(section, batch[:2])
            with autocast(self.device, training=True):
                found = section(batch)
            found = found.permute(0, 2, 3, 1) if found.dim() == 4 else found
            yield found.float().cpu().numpy().astype(self.dtype)

    def _make_ready(self) -> None:
        """The backbone on its device, the frozen stages in evaluation mode."""
        self.backbone.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for stage in self.backbone.stages[: self.boundary]:
            stage.eval()

    def _images(self, image_set: ImageSet, view: View) -> Iterator[Tensor]:
        """Normalised images in the view's version."""
        devices = [] if self.device == "cpu" else [self.device]
        batches = pixel_batches(_all_of(image_set), batch_size(self.device), self.device)
        for place, pixels in enumerate(batches):
            with torch.random.fork_rng(devices):
                torch.manual_seed(view.seed + place)
                varied = view.vary(pixels)
            yield self.backbone.normalise(varied)

    def _stored(self, below: NDArray[Any]) -> Iterator[Tensor]:
        size = batch_size(self.device)
        for start in range(0, len(below), size):
            yield self.to_tensor(below[start : start + size])

    def _bytes_per_image(self, image_set: ImageSet) -> int:
        """Size of what is kept of one image."""
        asked = self._keys[self.boundary], tuple(image_set.images.shape[1:])
        if asked not in _sizes:
            self._make_ready()
            with torch.no_grad():
                one = pixel_batches(_all_of(image_set).take(np.arange(1)), 1, self.device)
                normalised = self.backbone.normalise(next(one))
                _sizes[asked] = self.backbone(normalised, 0, self.boundary).numel()
        return _sizes[asked] * np.dtype(self.dtype).itemsize


def _all_of(image_set: ImageSet) -> Part:
    """Every image, without its label."""
    return Part.whole(image_set).without_labels()
