"""Adapting: an alignment method changes a whole fitted model on unlabelled images (TENT, SHOT)."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from automl_xfer.components import AlignmentMethod
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.loader import part_pixels
from automl_xfer.transfer.model import TransferModel
from automl_xfer.transfer.parts import Part

_BATCH = 64


def adapts_model(alignment: AlignmentMethod) -> bool:
    """Whether the method changes the fitted model at the end."""
    return type(alignment).adapt is not AlignmentMethod.adapt


def adapt_model(
    alignment: AlignmentMethod, model: TransferModel, images: tuple[Part, ...], context: FitContext
) -> None:
    """Let the method change the model in place; it leaves as it came, in evaluation mode."""
    if not sum(len(part) for part in images):
        return
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.to(context.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.enable_grad():
        alignment.adapt(model.eval(), _passes(model, images, context))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.eval()


def _passes(
    model: TransferModel, images: tuple[Part, ...], context: FitContext
) -> Callable[[], Iterable[Tensor]]:
    """A function that gives one shuffled pass a call, in batches of nearly equal size."""
    random = np.random.default_rng(context.seed)
    total = sum(len(part) for part in images)

    def one_pass() -> Iterator[Tensor]:
        for rows in np.array_split(random.permutation(total), max(1, round(total / _BATCH))):
            yield model.backbone.normalise(part_pixels(images, rows, context.device))

    return one_pass
