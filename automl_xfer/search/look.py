"""Look: load every backbone once, compute its features, and rank the backbones before training."""

import logging
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.components import Backbone, StagedModel, TransferabilityEstimator
from automl_xfer.data.image_set import ImageSet
from automl_xfer.plugin.catalog import Catalog
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import Channel
from automl_xfer.search.feature_statistics import FeatureStatistics
from automl_xfer.search.plan import Plan, fold_parts
from automl_xfer.space.facts import objections
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.device import batch_size
from automl_xfer.transfer.feature_cache import FeatureCache, extract
from automl_xfer.transfer.parts import Part, StudyData
from automl_xfer.transfer.pixels import pixel_batches
from automl_xfer.transfer.pretrain import starting_backbone

logger = logging.getLogger(__name__)

_LATENCY_RUNS = 9
_LABELLED, _UNLABELLED = 200, 100
"""So many images are enough to rank the backbones."""


@dataclass(frozen=True)
class LookRequest:
    """One backbone and the images of the study."""

    backbone: dict[str, Any]  # its own data
    data: StudyData
    plan: Plan
    device: str
    cache_directory: Path
    plugins: PluginSource
    facts: frozenset[str]  # about the data


@dataclass(frozen=True)
class BackboneLook:
    """What a first look found; `stage_seconds` are those of one image's forward pass, by stage."""

    label: str
    estimates: dict[str, float]  # transferability estimator -> score
    stage_seconds: tuple[float, ...]
    statistics: FeatureStatistics  # of the target
    latency_ms: float  # of one image and its mirror image, as a bundle predicts it


def look_at_backbone(request: LookRequest, channel: Channel) -> BackboneLook:
    """Transferability estimates of the features, and their speed.

    A backbone that is to be trained on the source is trained here, once for all trials.

    Labelled target images are read, or source images and unlabelled target ones where the target
    has no labels. Raises BackboneUnavailableError when the weights cannot be had.
    """
    context = FitContext(request.device, 0, FeatureCache(request.cache_directory))
    catalog = request.plugins.catalog()
    candidate = catalog.get("backbone", request.backbone["name"]).from_dict(request.backbone)
    assert isinstance(candidate, Backbone)
    data = request.data
    parts, _ = next(fold_parts(data, request.plan))
    backbone = starting_backbone(candidate, parts, context)
    labelled = data.target or data.source
    assert labelled is not None and labelled.labels is not None
    seconds = stage_seconds(backbone, labelled, context.device)
    features, rows = _features(backbone, labelled, context, _LABELLED)
    target = features[:0]
    if data.target is None and data.unlabelled is not None:
        target, _ = _features(backbone, data.unlabelled, context, _UNLABELLED)
    labels = torch.from_numpy(labelled.labels[rows])
    estimates = {
        estimator.name: _estimate(estimator, features, labels, target)
        for estimator in _estimators(catalog, request.facts)
    }
    statistics = FeatureStatistics.of((target if len(target) else features).numpy())
    latency = latency_ms(backbone, labelled, context.device)
    return BackboneLook(candidate.label, estimates, seconds, statistics, latency)


def _estimate(
    estimator: TransferabilityEstimator, features: Tensor, labels: Tensor, target: Tensor
) -> float:
    """The score; NaN where the estimator fails, as it only orders the start."""
    try:
        return float(estimator.estimate(features, labels, target))
    except Exception:
        logger.warning("the estimator %s failed", estimator.name, exc_info=True)
        return float("nan")


def _estimators(catalog: Catalog, facts: frozenset[str]) -> list[TransferabilityEstimator]:
    made = [kind() for kind in catalog.classes["transferability"].values()]
    return [
        each
        for each in made
        if isinstance(each, TransferabilityEstimator) and not objections(each, facts)
    ]


def _features(
    backbone: StagedModel, images: ImageSet, context: FitContext, most: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """Features (N, D) of at most so many images, and their rows; those of a small set are kept."""
    if len(images) <= most:
        rows = np.arange(len(images))
        found = context.cache.features(backbone, images, context.device)
    else:
        rows = np.sort(np.random.default_rng(0).permutation(len(images))[:most])
        found = extract(backbone, Part.whole(images).take(rows), context.device)
    return torch.from_numpy(np.asarray(found, np.float32)), rows


@torch.no_grad()
def stage_seconds(backbone: StagedModel, images: ImageSet, device: str) -> tuple[float, ...]:
    """Seconds of each stage for one image in a forward pass, the best of three batches.

    The pooling counts with the last stage.
    """
    model = backbone.to(device).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    part = Part.whole(images).take(np.arange(min(batch_size(device), 32, len(images))))
    best = np.full(len(model.stages), np.inf)
    for _ in range(3):
        activations = model.normalise(next(pixel_batches(part, len(part), device)))
        for stage in range(len(model.stages)):
            last = stage == len(model.stages) - 1
            started = perf_counter()
            activations = model(activations, stage, None if last else stage + 1)
            activations[(0,) * activations.dim()].item()  # waits for the device
            best[stage] = min(best[stage], (perf_counter() - started) / len(part))
    return tuple(best.tolist())


@torch.no_grad()
def latency_ms(backbone: StagedModel, images: ImageSet, device: str) -> float:
    """Milliseconds of the median forward pass of one image, twice: its mirror image is read too."""
    model = backbone.to(device).eval()
    one = next(pixel_batches(Part.whole(images).take(np.arange(1)), 1, device))
    seconds = []
    for _ in range(_LATENCY_RUNS):
        started = perf_counter()
        model(model.normalise(one)).sum().item()  # waits for the device
        seconds.append(perf_counter() - started)
    return 2000 * median(seconds)
