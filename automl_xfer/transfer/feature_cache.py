"""Features of frozen backbones, computed once and shared by all trials and processes."""

import hashlib
from contextlib import suppress
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.components import FusedModel, Readings, StagedModel, StageFeatures
from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.cache_folder import CacheFolder
from automl_xfer.transfer.device import autocast, batch_size
from automl_xfer.transfer.folding import compute_alike, fold_batch_norms, worth_folding
from automl_xfer.transfer.model import code_key, weights_key
from automl_xfer.transfer.parts import Part, Rows
from automl_xfer.transfer.pixels import pixel_batches

_MOST_READ = 4
"""Every pass keeps what heads that read up to so many stages take: it costs next to nothing."""


def stages_kept(n_read: int) -> int:
    """Of how many stages there is a file for a head that reads so many."""
    return max(_MOST_READ, n_read)


class FeatureCache(CacheFolder):
    """Features by content: the weights, the images and the view decide the file.

    Files are 16-bit and memory-mapped.
    """

    def features(
        self,
        model: StagedModel,
        image_set: ImageSet,
        device: str,
        *,
        flip: bool = False,
        keys: tuple[str, ...] | None = None,
        rows: Rows | None = None,
    ) -> NDArray[np.float16]:
        """(N, D) features of the images at `rows`, or of all; of their mirror images if `flip`.

        All are computed where they are not kept yet. `keys` is what `model_keys` said of the
        model, for who asks more than once.
        """
        keys = keys or model_keys(model)
        if isinstance(model, FusedModel):
            members = [cast(StagedModel, member) for member in model.members]
            found = [
                self.features(member, image_set, device, flip=flip, keys=(key,), rows=rows)
                for member, key in zip(members, keys, strict=True)
            ]
            tensors = [torch.from_numpy(np.asarray(each, np.float32)) for each in found]
            joined: NDArray[np.float16] = model.join(tensors).half().numpy()
            return joined
        if not isinstance(model, StageFeatures):
            read = self._readings(model, 1, keys[0], image_set, device, flip=flip)
            return (read if rows is None else read[rows])[:, -model.feature_dim :]
        read = self._readings(model.plain, model.n_read, keys[0], image_set, device, flip=flip)
        wide = torch.from_numpy(np.asarray(read if rows is None else read[rows], np.float32))
        narrow: NDArray[np.float16] = model.of_readings(wide).half().numpy()
        return narrow

    def _readings(
        self,
        model: StagedModel,
        n_read: int,
        key: str,
        image_set: ImageSet,
        device: str,
        *,
        flip: bool,
    ) -> NDArray[np.float16]:
        """(N, E + D) as `Readings` has them, kept with so many stages that one pass serves all."""
        n_read = stages_kept(n_read)
        view, code = "flip" if flip else "plain", code_key(Readings.__module__)
        text = f"{key}/{code}/{n_read}/{image_set.key}/{view}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        path = self.directory / f"features-{digest}.npy"
        cached = self.read_rows(path, len(image_set))
        if cached is None or cached.ndim != 2:
            array = extract(model, Part.whole(image_set), device, flip=flip, n_read=n_read)
            with suppress(OSError):  # a full disk
                self.write_rows(path, len(array), np.float16, [array])
            return array
        return cached


def model_keys(model: StagedModel) -> tuple[str, ...]:
    """Digests of the weights, of each member of a fused model."""
    if isinstance(model, StageFeatures):
        return model_keys(model.plain)
    members = model.members if isinstance(model, FusedModel) else (model,)
    return tuple(weights_key(member) for member in members)


@torch.no_grad()
def extract(
    model: StagedModel, part: Part, device: str, *, flip: bool = False, n_read: int = 1
) -> NDArray[np.float16]:
    """(N, D) pooled features of a part, not cached; of several stages all `Readings`."""
    model = model.to(device).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = []
    compute = Readings(model, n_read)
    for place, pixels in enumerate(pixel_batches(part, batch_size(device), device)):
        images = model.normalise(pixels)
        if place == 0 and worth_folding(part, device):
            compute = folded_readings(model, n_read, images[:2])
        with autocast(device):
            rows.append(compute(images.flip(3) if flip else images).half().cpu().numpy())
    return np.concatenate(rows)


def folded_readings(model: StagedModel, n_read: int, sample: Tensor) -> Readings:
    """The readings of a copy without batch norms, where these are the same on a small batch.

    The pooled features are compared alone too: earlier blocks may be far larger.
    """
    plain = Readings(model, n_read)
    folded = Readings(cast(StagedModel, fold_batch_norms(model, sample)), n_read)
    return folded if compute_alike(plain, folded, sample) else plain
