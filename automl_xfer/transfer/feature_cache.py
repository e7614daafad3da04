"""Features of frozen backbones, computed once and shared by all trials and processes."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from automl_xfer.components import FusedModel, StagedModel
from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.device import autocast, batch_size
from automl_xfer.transfer.folding import fold_batch_norms, worth_folding
from automl_xfer.transfer.model import pixel_batches, weights_key
from automl_xfer.transfer.parts import Part

_MOST_BYTES = 20 * 2**30
_STALE_SECONDS = 3600.0
"""A file that was not finished for so long belongs to a process that was killed."""


class FeatureCache:
    """Pooled features by content: the weights, the images and the view decide the file.

    Files are 16-bit and memory-mapped. Two processes may write one key at once: each writes a
    file of its own and renames it, and both hold the same numbers. Past 20 GB, or a tenth of the
    free disk, what was not read for longest goes; decoded images in the same folder stay.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def features(
        self, model: StagedModel, image_set: ImageSet, device: str, *, flip: bool = False
    ) -> NDArray[np.float16]:
        """(N, D) features of every image of the set, of its mirror image if `flip`."""
        if isinstance(model, FusedModel):
            members = [cast(StagedModel, member) for member in model.members]
            rows = [self.features(member, image_set, device, flip=flip) for member in members]
            tensors = [torch.from_numpy(np.asarray(row, np.float32)) for row in rows]
            joined: NDArray[np.float16] = model.join(tensors).half().numpy()
            return joined
        view = "flip" if flip else "plain"
        text = f"{weights_key(model)}/{image_set.key}/{view}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        path = self.directory / f"features-{digest}.npy"
        cached = _read(path, len(image_set))
        if cached is None:
            array = extract(model, Part.whole(image_set), device, flip=flip)
            self.write(path, lambda temporary: _save(temporary, array))
            cached = _read(path, len(image_set))
            assert cached is not None
        return cached

    def write(self, path: Path, save: Callable[[Path], None]) -> None:
        """`save` beside `path`, then rename, so that a reader sees all of the file or none."""
        self._make_room()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix="features-", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            save(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Delete the features that were not read for longest while the limit is passed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        limit = min(_MOST_BYTES, shutil.disk_usage(self.directory).free // 10)
        files = []
        for path in self.directory.glob("features-*"):
            with suppress(FileNotFoundError):  # another process made room too
                status = path.stat()
                if path.suffix != ".part" or time.time() - status.st_mtime > _STALE_SECONDS:
                    files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= limit:
                return
            path.unlink(missing_ok=True)
            total -= size


def _save(path: Path, array: NDArray[np.float16]) -> None:
    with path.open("wb") as file:  # np.save adds a suffix to a name
        np.save(file, array)


def _read(path: Path, n: int) -> NDArray[np.float16] | None:
    """The cached array, or None where there is none or it is damaged."""
    try:
        array: NDArray[np.float16] = np.load(path, mmap_mode="r")
        os.utime(path)  # read now: among the last to be deleted
    except (OSError, ValueError, EOFError):
        return None
    return array if array.ndim == 2 and len(array) == n else None


@torch.no_grad()
def extract(
    model: StagedModel, part: Part, device: str, *, flip: bool = False
) -> NDArray[np.float16]:
    """(N, D) pooled features of a part, not cached."""
    model = model.to(device).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = []
    compute = cast(nn.Module, model)
    for place, pixels in enumerate(pixel_batches(part, batch_size(device), device)):
        images = model.normalise(pixels)
        if place == 0 and worth_folding(part, device):
            compute = fold_batch_norms(model, images[:2])
        with autocast(device):
            rows.append(compute(images.flip(3) if flip else images).half().cpu().numpy())
    return np.concatenate(rows)
