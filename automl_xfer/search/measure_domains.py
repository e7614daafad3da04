"""How far each source lies from the target, before any search: what `inspect` prints."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import Backbone, StagedModel
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.data.manifest import Manifest, Sample
from automl_xfer.evaluation.domain_distance import (
    DomainDistance,
    domain_distance,
    neighbour_agreement,
    prior_difference,
    source_consistency,
)
from automl_xfer.transfer.feature_cache import extract
from automl_xfer.transfer.parts import Part

_SAMPLE = 300


@dataclass(frozen=True)
class MeasuredSource:
    """One source beside the target; `agreement` and `prior_difference` need target labels."""

    name: str
    distance: DomainDistance
    consistency: float
    agreement: float | None
    prior_difference: float | None


def measure_domains(
    manifest: Manifest, backbone: Backbone, image_size: int
) -> list[MeasuredSource]:
    """Measure every source on frozen features of at most 300 images of each domain.

    Raises BackboneUnavailableError when the weights cannot be had.
    """
    model = backbone.build()
    numbers = {name: number for number, name in enumerate(manifest.classes)}
    target = _sample(manifest.select("train", "val", "unlabelled"))
    labelled = [sample for sample in target if sample.label is not None]
    seen = _features(model, target, image_size)
    known = seen[[sample.label is not None for sample in target]]
    target_labels = _labels(labelled, numbers)
    measured = []
    for name in manifest.sources:
        own = [sample for sample in manifest.select("source") if sample.domain == name]
        drawn = _sample(tuple(own))
        features, labels = _features(model, drawn, image_size), _labels(drawn, numbers)
        agreement = difference = None
        if labelled:
            agreement = neighbour_agreement(features, labels, known, target_labels)
            every = _labels(own, numbers)
            difference = prior_difference(every, target_labels, len(numbers))
        distance = domain_distance(features, seen)
        consistency = source_consistency(features, labels)
        measured.append(MeasuredSource(name, distance, consistency, agreement, difference))
    return measured


def _sample(samples: tuple[Sample, ...]) -> list[Sample]:
    """At most 300, labelled ones first: they are few and say most."""
    order = np.random.default_rng(0).permutation(len(samples))
    drawn = sorted(order, key=lambda row: samples[row].label is None)[:_SAMPLE]
    return [samples[row] for row in sorted(drawn)]


def _features(model: StagedModel, samples: list[Sample], size: int) -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        images = ImageCache(Path(folder)).load([sample.path for sample in samples], size, None)
        return extract(model, Part.whole(images), "cpu").astype(np.float32)


def _labels(samples: list[Sample], numbers: dict[str, int]) -> NDArray[np.int64]:
    return np.array([numbers[each.label] for each in samples if each.label is not None], np.int64)
