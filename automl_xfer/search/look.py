"""Look: load every backbone once, compute its features, and rank the backbones before training."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from automl_xfer.components import Backbone, StagedModel
from automl_xfer.data.image_set import ImageSet
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import Channel
from automl_xfer.search.plan import Plan, fold_parts
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache, extract
from automl_xfer.transfer.model import pixel_batches
from automl_xfer.transfer.parts import Part, StudyData
from automl_xfer.transfer.pretrain import starting_backbone

_SAMPLE = 600
"""So many labelled images are enough to rank the backbones."""


@dataclass(frozen=True)
class LookRequest:
    """One backbone and the images of the study."""

    backbone: dict[str, Any]  # its own data
    data: StudyData
    plan: Plan
    device: str
    cache_directory: Path
    plugins: PluginSource


@dataclass(frozen=True)
class BackboneLook:
    """What a first look found; `seconds_per_image` is a forward pass."""

    label: str
    neighbour_accuracy: float
    seconds_per_image: float


def look_at_backbone(request: LookRequest, channel: Channel) -> BackboneLook:
    """Leave-one-out 1-nearest-neighbour accuracy of the features, and their speed.

    A backbone that is to be trained on the source is trained here, once for all trials.

    Labelled target images are scored, or source images where the target has no labels. Raises
    BackboneUnavailableError when the weights cannot be had.
    """
    cache = FeatureCache(request.cache_directory)
    context = FitContext(request.device, 0, cache)
    catalog = request.plugins.load()[1]
    candidate = catalog.get("backbone", request.backbone["name"]).from_dict(request.backbone)
    assert isinstance(candidate, Backbone)
    data = request.data
    parts, _ = next(fold_parts(data, request.plan))
    backbone = starting_backbone(candidate, parts, context)
    labelled = data.target or data.source
    assert labelled is not None and labelled.labels is not None
    seconds = seconds_per_image(backbone, labelled, context.device)
    if len(labelled) > _SAMPLE:
        rows = np.sort(np.random.default_rng(0).permutation(len(labelled))[:_SAMPLE])
        features = extract(backbone, Part.whole(labelled).take(rows), context.device)
        labels = labelled.labels[rows]
        return BackboneLook(candidate.label, neighbour_accuracy(features, labels), seconds)
    features = cache.features(backbone, labelled, context.device)
    return BackboneLook(candidate.label, neighbour_accuracy(features, labelled.labels), seconds)


@torch.no_grad()
def seconds_per_image(backbone: StagedModel, images: ImageSet, device: str) -> float:
    """Seconds of a forward pass for one image, the better of two batches."""
    model = backbone.to(device).eval()
    part = Part.whole(images).take(np.arange(min(32, len(images))))
    seconds = []
    for _ in range(2):
        pixels = next(pixel_batches(part, len(part), device))
        started = perf_counter()
        model(model.normalise(pixels)).sum().item()  # waits for the device
        seconds.append((perf_counter() - started) / len(part))
    return min(seconds)


def neighbour_accuracy(features: NDArray[np.float16], labels: NDArray[np.int64]) -> float:
    """Leave-one-out accuracy of the nearest neighbour by cosine: (N, D), (N,)."""
    unit = np.asarray(features, np.float32)
    unit = unit - unit.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True) + 1e-8
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return float(np.mean(labels[similarity.argmax(1)] == labels))
