"""Load a bundle and predict with it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from automl_xfer.bundle.features import BackboneReader, Seen, share_backbones
from automl_xfer.bundle.format import BundleDescription, read_description
from automl_xfer.bundle.member import load_member
from automl_xfer.data.decode import UnreadableImageError, decode_image
from automl_xfer.data.image_cache import resize_image
from automl_xfer.plugin.source import PluginSource
from automl_xfer.transfer.device import batch_size, resolve_device
from automl_xfer.transfer.folding import worth_folding
from automl_xfer.transfer.model import TransferModel, ready_to_predict
from automl_xfer.transfer.pixels import to_tensor

_BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """One image's prediction. An unreadable image has no label and says why in `problem`."""

    path: Path
    label: str | None
    probabilities: tuple[float, ...]  # by class, in the bundle's order; empty if unreadable
    problem: str | None = None

    @property
    def confidence(self) -> float | None:
        """Probability of the label."""
        return max(self.probabilities) if self.probabilities else None


@dataclass(frozen=True)
class Bundle:
    """A trained model ready to predict; make it with `load_bundle`."""

    description: BundleDescription
    models: tuple[TransferModel, ...]
    device: str

    @cached_property
    def _reader(self) -> BackboneReader:
        return BackboneReader(self.device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.description.classes

    def predict(self, paths: Sequence[Path | str]) -> Iterator[Prediction]:
        """One prediction per path, in order, a batch in memory at a time."""
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(paths), _BATCH):
                batch = [Path(path) for path in paths[start : start + _BATCH]]
                yield from self._predict_batch(batch, list(pool.map(self._read, batch)))

    def _read(self, path: Path) -> NDArray[np.uint8] | str:
        try:
            size = self.description.image_size
            return resize_image(decode_image(path, at_least=2 * size), size)
        except UnreadableImageError as error:
            return error.reason

    def _predict_batch(
        self, paths: list[Path], images: list[NDArray[np.uint8] | str]
    ) -> Iterator[Prediction]:
        readable = [image for image in images if not isinstance(image, str)]
        rows = iter(self.probabilities(np.stack(readable)) if readable else np.zeros((0, 0)))
        for path, image in zip(paths, images, strict=True):
            if isinstance(image, str):
                yield Prediction(path, None, (), image)
            else:
                row = next(rows)
                label = self.classes[int(row.argmax())]
                yield Prediction(path, label, tuple(float(value) for value in row))

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 images (N, size, size, 3) -> class probabilities (N, K).

        The weighted mean over the members and over the image and its mirror image.
        """
        size, fold = batch_size(self.device), worth_folding(images, self.device)
        starts = range(0, len(images), size)
        blocks = [self._block(images[start : start + size], fold=fold) for start in starts]
        return np.concatenate(blocks)

    @torch.no_grad()
    def _block(self, images: NDArray[np.uint8], *, fold: bool) -> NDArray[np.float32]:
        pixels, seen = to_tensor(images, self.device), Seen()
        total = torch.zeros(len(images), len(self.classes))
        for member, model in zip(self.description.members, self.models, strict=True):
            views = self._reader.read(model.backbone, pixels, seen, fold=fold)
            rows = [model.head(model.feature_map(view)).softmax(1) for view in views]
            total += member.weight * torch.stack(rows).mean(0).cpu()
        mean: NDArray[np.float32] = total.numpy()
        return mean


def load_bundle(
    directory: Path, *, device: str = "auto", plugins: PluginSource | None = None
) -> Bundle:
    """Load the bundle in `directory`. Raises BundleError."""
    description = read_description(directory)
    _, catalog = (plugins or PluginSource()).load()
    device = resolve_device(device)
    models = tuple(
        ready_to_predict(
            load_member(
                directory / member.directory,
                member.strategy,
                len(description.classes),
                catalog.classes,
            ).to(device)
        )
        for member in description.members
    )
    share_backbones(models)
    return Bundle(description, models, device)
