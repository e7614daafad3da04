"""On a CPU a search uses no more and no larger images than its time allows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from automl_xfer.data.manifest import Manifest, Sample, ScannedData, Split

IMAGES_PER_SECOND, AT_SIZE = 8.0, 160
"""Source and unlabelled images of 160 pixels for each second of the time limit, together: a pass
takes about a twelfth of it."""

_TIMES_LABELLED = 2
"""Labelled target images are worth more: so many times as many of them are used."""

SMALL, _LARGE = AT_SIZE, 224
"""Sides of images in pixels. What most weights were trained on is the larger one."""

_SHARE_LARGE = 0.25
"""Images are read at the larger size where they are so few of those that could be read at it."""

_LEAST = 5
"""Of each class of a domain so many are kept where there is room for them, and 2 in any case."""


def size_within_reach(scanned: ScannedData, time_limit: float, device: str) -> int:
    """The side in pixels at which images are read: the larger one on a GPU or where they are few.

    A pass at the larger size takes twice as long. Test images, which are read at the end, count
    as labelled ones do.
    """
    if device != "cpu":
        return _LARGE
    labelled, unlabelled, source = _by_role(scanned.manifest)
    n_test = len(scanned.test.paths) if scanned.test else 0
    worth = (len(labelled) + n_test) / _TIMES_LABELLED + len(unlabelled) + len(source)
    return _LARGE if worth <= _SHARE_LARGE * _within(time_limit, _LARGE) else SMALL


def within_reach(
    scanned: ScannedData, time_limit: float, image_size: int, device: str
) -> ScannedData:
    """The data with so many images as can be read several times in `time_limit` seconds.

    Every class of a domain and split is thinned out alike. Test images are all kept; on a GPU all
    images are.
    """
    if device != "cpu":
        return scanned
    manifest = scanned.manifest
    labelled, unlabelled, source = _by_role(manifest)
    limit = _within(time_limit, image_size)
    n_source, n_unlabelled = fair_shares(len(source), len(unlabelled), limit)
    kept = {
        *thinned(labelled, _TIMES_LABELLED * limit),
        *thinned(unlabelled, n_unlabelled),
        *thinned(source, n_source),
    }
    samples = tuple(sample for sample in manifest.samples if sample in kept)
    return replace(scanned, manifest=Manifest(samples))


def _by_role(manifest: Manifest) -> tuple[tuple[Sample, ...], ...]:
    """Labelled target images, unlabelled ones, and those of the sources."""
    roles: tuple[tuple[Split, ...], ...] = (("train", "val"), ("unlabelled",), ("source",))
    return tuple(manifest.select(*splits) for splits in roles)


def _within(time_limit: float, image_size: int) -> int:
    """Source and unlabelled images of a size that a search of so many seconds can use."""
    return int(IMAGES_PER_SECOND * time_limit * (AT_SIZE / image_size) ** 2)


def fair_shares(first: int, second: int, limit: int) -> tuple[int, int]:
    """So many of each that the sum keeps to the limit; what one does not need the other gets."""
    half = limit // 2
    if first + second <= limit:
        return first, second
    if first <= half:
        return first, limit - first
    if second <= half:
        return limit - second, second
    return half, limit - half


def thinned(samples: Sequence[Sample], n: int) -> list[Sample]:
    """About n of the samples, in order: the same share of each class of a domain and split."""
    if len(samples) <= n:
        return list(samples)
    strata: dict[tuple[str, str, str], list[int]] = {}
    for row, sample in enumerate(samples):
        strata.setdefault((sample.split, sample.domain, sample.label or ""), []).append(row)
    least = max(2, min(_LEAST, n // len(strata)))
    random, kept = np.random.default_rng(0), []
    for _, rows in sorted(strata.items()):
        share = max(least, round(len(rows) * n / len(samples)))
        kept += random.permutation(rows)[:share].tolist()
    return [samples[row] for row in sorted(kept)]
