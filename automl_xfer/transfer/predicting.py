"""Predictions of a model on a part, from pixels or from the activations that are kept."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_xfer.transfer.device import autocast, batch_size
from automl_xfer.transfer.folding import fold_batch_norms, worth_folding
from automl_xfer.transfer.model import (
    TransferModel,
    ready_to_predict,
    view_probabilities,
)
from automl_xfer.transfer.parts import Part
from automl_xfer.transfer.pixels import pixel_batches
from automl_xfer.transfer.stage_cache import FLIP, PLAIN, FrozenPrefix, Section, View

_FEWEST_SHARE = 0.15
"""Whoever asks for a smaller share of an image set (a fold is a fifth) computes it alone."""


@torch.no_grad()
def predict_probabilities(
    model: TransferModel,
    part: Part,
    device: str,
    *,
    flip: bool = True,
    prefix: FrozenPrefix | None = None,
) -> NDArray[np.float32]:
    """Class probabilities (N, K), averaged over the image and its mirror image if `flip`.

    `prefix` are stages of this model whose activations are kept for the whole image set.
    """
    if not len(part):
        return np.zeros((0, 0), np.float32)
    ready_to_predict(model)
    views = [PLAIN, FLIP] if flip else [PLAIN]
    prefix = _where_it_fits(prefix, part, len(views))
    section = _section(model, part, device, prefix)
    total = torch.zeros(())
    for view in views:
        batches = _inputs(model, part, view, device, prefix)
        rows = [view_probabilities(model, section, batch).cpu() for batch in batches]
        total = total + torch.cat(rows)
    mean: NDArray[np.float32] = (total / len(views)).numpy()
    return mean


@torch.no_grad()
def part_features(
    model: TransferModel, part: Part, device: str, prefix: FrozenPrefix | None = None
) -> Tensor:
    """(N, D') features as the model's head takes them, on the CPU."""
    ready_to_predict(model)
    prefix = _where_it_fits(prefix, part, 1)
    section, rows = _section(model, part, device, prefix), []
    for batch in _inputs(model, part, PLAIN, device, prefix):
        with autocast(device):
            features = section(batch)
        rows.append(model.feature_map(features.float()).cpu())
    return torch.cat(rows)


def _where_it_fits(prefix: FrozenPrefix | None, part: Part, n_views: int) -> FrozenPrefix | None:
    """The prefix, where keeping the activations of the part's whole image set is worth it."""
    if prefix is None or _FEWEST_SHARE * len(part.image_set) > len(part):
        return None
    return prefix if prefix.fits(part.image_set, n_views) else None


def _section(
    model: TransferModel, part: Part, device: str, prefix: FrozenPrefix | None
) -> nn.Module:
    """What is left to compute of the backbone, with its batch norms folded where that pays."""
    section = model.backbone if prefix is None else Section(model.backbone, prefix.boundary)
    if not worth_folding(part, device):
        return section
    two = part.take(np.arange(2))
    return fold_batch_norms(section, next(_inputs(model, two, PLAIN, device, prefix)))


def _inputs(
    model: TransferModel, part: Part, view: View, device: str, prefix: FrozenPrefix | None
) -> Iterator[Tensor]:
    """Batches for the section: normalised images or activations."""
    size = batch_size(device)
    if prefix is None:
        for pixels in pixel_batches(part, size, device):
            yield model.backbone.normalise(view.vary(pixels))
        return
    stored = prefix.activations(part.image_set, view)
    for start in range(0, len(part), size):
        yield prefix.to_tensor(stored[part.indices[start : start + size]])
