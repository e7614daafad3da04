"""Finishing: an alignment method changes a backbone from unlabelled images (AdaBN)."""

import copy
import hashlib
import os
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from automl_xfer.components import AlignmentMethod, FusedModel, StagedModel, StageFeatures
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.model import KeptModels, weights_key, will_not_change
from automl_xfer.transfer.parts import Part
from automl_xfer.transfer.pixels import to_tensor

MOST_IMAGES, _BATCH = 200, 50


def adapts_backbone(alignment: AlignmentMethod) -> bool:
    """Whether the method changes the backbone after training."""
    return type(alignment).finish is not AlignmentMethod.finish


def finish_key(alignment: AlignmentMethod) -> str:
    """What the change depends on besides weights and images; empty where nothing is changed."""
    return alignment.finish_key() if adapts_backbone(alignment) else ""


_finished = KeptModels()


def finished_backbone(
    alignment: AlignmentMethod, backbone: StagedModel, images: tuple[Part, ...], context: FitContext
) -> StagedModel:
    """A backbone of the same structure that the method has changed; the given one stays.

    Members of a fused backbone are changed one by one, as if alone. On the CPU every fold gets the
    same one, for nobody to change; elsewhere a copy of it, as nothing is kept there.
    """
    if isinstance(backbone, StageFeatures):
        return backbone.on(finished_backbone(alignment, backbone.plain, images, context))
    if isinstance(backbone, FusedModel):
        members = [cast(StagedModel, member) for member in backbone.members]
        made = [finished_backbone(alignment, member, images, context) for member in members]
        return FusedModel(made).eval()

    def make() -> StagedModel:
        model = copy.deepcopy(backbone)
        finish_backbone(alignment, model, images, context)
        will_not_change(model.to("cpu"))
        return model

    images = tuple(part for part in images if len(part))
    rows = [_spread(part, sum(map(len, images))) for part in images]
    kept = _finished.get(_key(alignment, backbone, images, rows), make)
    return kept if context.device == "cpu" else copy.deepcopy(kept)


def finish_backbone(
    alignment: AlignmentMethod, backbone: StagedModel, images: tuple[Part, ...], context: FitContext
) -> None:
    """Let the alignment method change the backbone from images of one domain.

    It sees at most 200, drawn the same way each time, in shuffled batches of nearly equal size.
    What it changed is cached: every fold and trial that starts from the same weights and images
    changes them the same way. Not for a fused backbone.
    """
    if isinstance(backbone, StageFeatures):
        backbone = backbone.plain  # the same modules: what is cached serves both readings
    total = sum(len(part) for part in images)
    if not adapts_backbone(alignment) or total == 0:
        return
    rows = [_spread(part, total) for part in images]
    key = _key(alignment, backbone, images, rows)
    path = context.cache.directory / f"features-finished-{key}.safetensors"
    if _load(backbone, path):
        return
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    pixels = [part.image_set.images[each] for part, each in zip(images, rows, strict=True)]
    _finish(alignment, backbone, np.concatenate(pixels), context.device)
    after = backbone.state_dict()
    changed = {
        name: value.cpu().contiguous()
        for name, value in after.items()
        if not torch.equal(value, before[name].to(value.device))
    }
    context.cache.write(path, lambda temporary: save_file(changed, temporary))


def _finish(
    alignment: AlignmentMethod, backbone: StagedModel, pixels: NDArray[np.uint8], device: str
) -> None:
    order = np.random.default_rng(0).permutation(len(pixels))
    batches = np.array_split(order, max(1, round(len(order) / _BATCH)))
    backbone.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    alignment.finish(
        backbone, (backbone.normalise(to_tensor(pixels[rows], device)) for rows in batches)
    )


def _spread(part: Part, total: int) -> NDArray[np.int64]:
    """Rows of this part's share of the images, in order."""
    share = min(len(part), round(MOST_IMAGES * len(part) / total))
    rows = np.random.default_rng(0).permutation(len(part))[:share]
    return np.sort(part.indices[rows])


def _key(
    alignment: AlignmentMethod,
    backbone: StagedModel,
    images: tuple[Part, ...],
    rows: list[NDArray[np.int64]],
) -> str:
    text = f"{finish_key(alignment)}/{weights_key(backbone)}"
    digest = hashlib.sha256(text.encode())
    for part, each in zip(images, rows, strict=True):
        digest.update(f"/{part.image_set.key}/".encode() + each.tobytes())
    return digest.hexdigest()[:32]


def _load(backbone: StagedModel, path: Path) -> bool:
    """Put the cached changes into the backbone; False where there are none or they are damaged."""
    try:
        changed = load_file(path)
        os.utime(path)  # read now: among the last to be deleted
    except (OSError, SafetensorError):
        return False
    unexpected = backbone.load_state_dict(changed, strict=False).unexpected_keys
    return not unexpected
