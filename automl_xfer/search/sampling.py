"""On a CPU a search reads no more source and unlabelled images than its time allows."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.parts import StudyData

IMAGES_PER_SECOND, AT_SIZE = 8.0, 160
"""Images of 160 pixels for each second of the time limit: a pass takes about a twelfth of it."""

Rows = NDArray[np.int64]


def within_reach(data: StudyData, time_limit: float, device: str, directory: Path) -> StudyData:
    """The data with so many source and unlabelled images as can be read some ten times in time.

    Every strategy that adapts the backbone reads them once more. Labelled target images are all
    kept; the source is thinned out alike in every class and domain. On a GPU all are kept.
    """
    if device != "cpu":
        return data
    n_source, n_unlabelled = len(data.source or ()), len(data.unlabelled or ())
    limit = int(IMAGES_PER_SECOND * time_limit * (AT_SIZE / data.image_size) ** 2)
    source, unlabelled = fair_shares(n_source, n_unlabelled, limit)
    if data.source is not None and source < n_source:
        rows = source_rows(data, source)
        domains = None if data.source_domains is None else data.source_domains[rows]
        thinned = _subset(data.source, rows, directory)
        data = replace(data, source=thinned, source_domains=domains)
    if data.unlabelled is not None and unlabelled < n_unlabelled:
        rows = unlabelled_rows(n_unlabelled, unlabelled)
        data = replace(data, unlabelled=_subset(data.unlabelled, rows, directory))
    return data


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


def source_rows(data: StudyData, n: int) -> Rows:
    """About n rows of the source, in order: the same share of each class and domain."""
    assert data.source is not None and data.source.labels is not None
    strata = data.source.labels
    if data.source_domains is not None:
        strata = strata + data.num_classes * data.source_domains
    random, kept = np.random.default_rng(0), []
    for stratum in np.unique(strata):
        rows = random.permutation(np.flatnonzero(strata == stratum))
        kept.append(rows[: max(1, round(len(rows) * n / len(strata)))])
    return np.sort(np.concatenate(kept))


def unlabelled_rows(n: int, kept: int) -> Rows:
    """The rows of the unlabelled images that are kept, in order."""
    return np.sort(np.random.default_rng(0).permutation(n)[:kept])


def _subset(images: ImageSet, rows: Rows, directory: Path) -> ImageSet:
    """Some images of a set as a set of their own, stored under a key of its own."""
    key = hashlib.sha256(images.key.encode() + rows.tobytes()).hexdigest()[:32]
    path = directory / f"{key}.npy"
    if not path.exists():
        unfinished = directory / f".{key}.{os.getpid()}.tmp"
        try:
            with unfinished.open("wb") as file:  # np.save adds a suffix to a name
                np.save(file, images.images[rows])
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    labels = None if images.labels is None else images.labels[rows]
    return ImageSet(path, key, labels)
