"""The weights a fit starts from: loaded, random, or trained on the study's source images."""

import copy
import hashlib
import os

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from automl_xfer.components import Backbone, FusedModel, StagedModel
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.model import KeptModels, will_not_change
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.pixels import read_pixels

_EPOCHS, _BATCH, _RATE = 12, 64, 2e-3

_built = KeptModels()


def starting_backbone(
    backbone: Backbone, parts: TrainingParts, context: FitContext, *, shared: bool = False
) -> StagedModel:
    """A fresh copy of the backbone with its starting weights; random ones follow the seed.

    `shared`: it need not be a copy, as the caller will not change it.
    """
    if backbone.initialisation == "pretrained":
        model = _built.get(backbone, backbone.build)
        if not shared or context.device != "cpu":  # the one that is kept never leaves the CPU
            return copy.deepcopy(model)
        for member in model.members if isinstance(model, FusedModel) else (model,):
            will_not_change(member)
        return model
    torch.manual_seed(context.seed)
    model = backbone.build()
    if backbone.initialisation == "source" and parts.source is not None:
        _load_or_train(model, parts.source, parts.num_classes, context)
    return model


def _load_or_train(model: StagedModel, source: Part, num_classes: int, context: FitContext) -> None:
    """Source-trained weights from the cache, trained now where they are not there yet."""
    assert source.labels is not None
    shapes = "".join(f"{name}{tuple(value.shape)}" for name, value in model.state_dict().items())
    text = f"{type(model).__name__}/{shapes}/{num_classes}/{source.image_set.key}"
    digest = hashlib.sha256(text.encode())
    digest.update(source.indices.tobytes() + source.labels.tobytes())
    if source.weights is not None:
        digest.update(source.weights.tobytes())
    path = context.cache.directory / f"features-source-{digest.hexdigest()[:32]}.safetensors"
    try:
        state = load_file(path)
        os.utime(path)  # read now: among the last to be deleted
    except (OSError, SafetensorError):  # not there yet, or damaged
        _train_on_source(model, source, num_classes, context.device)
        state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
        context.cache.write(path, lambda temporary: save_file(state, temporary))
    model.load_state_dict(state)


def _train_on_source(model: StagedModel, source: Part, num_classes: int, device: str) -> None:
    """Plain cross-entropy training of all parameters with AdamW and one-cycle rates.

    Images with weights are drawn by them, with replacement.
    """
    assert source.labels is not None
    model.to(device).train()
    head = nn.Linear(model.feature_dim, num_classes).to(device)
    parameters = [*model.parameters(), *head.parameters()]
    steps = _EPOCHS * -(-len(source) // _BATCH)
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        order = _draw(source)
        for start in range(0, len(source), _BATCH):
            rows = order[start : start + _BATCH]
            pixels = read_pixels(source.image_set, source.indices[rows], device)
            labels = torch.from_numpy(source.labels[rows]).to(device)
            loss = nn.functional.cross_entropy(head(model(model.normalise(pixels))), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    model.to("cpu").eval()


def _draw(source: Part) -> NDArray[np.int64]:
    """Rows of the images of one epoch."""
    if source.weights is None:
        return torch.randperm(len(source)).numpy()
    weights = torch.from_numpy(source.weights)
    return torch.multinomial(weights, len(source), replacement=True).numpy()
