"""From the user's paths to decoded images: scan, health, cache."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_xfer.data.health import check_health
from automl_xfer.data.health_report import HealthReport
from automl_xfer.data.image_cache import ImageCache, Progress
from automl_xfer.data.image_set import ImageSet
from automl_xfer.data.manifest import Manifest, Sample, ScannedData, Split, TestSplit
from automl_xfer.data.scan import scan
from automl_xfer.search.options import SearchOptions
from automl_xfer.transfer.parts import StudyData

_THUMBNAILS = 4

_ROLES: dict[str, tuple[Split, ...]] = {
    "labelled": ("train", "val"),
    "source": ("source",),
    "unlabelled": ("unlabelled",),
}


@dataclass(frozen=True)
class PreparedData:
    """The data of a study. `test` is opened by nothing but the final evaluation.

    `found` is the digest of all images found, `shares` has (images chosen, images found) of each
    role; `manifest` has the healthy ones of those chosen.
    """

    found: str
    shares: dict[str, tuple[int, int]]
    manifest: Manifest
    health: HealthReport
    data: StudyData
    validation_rows: NDArray[np.int64]  # rows of `data.target` that the user set apart
    target_samples: tuple[Sample, ...]  # row by row of `data.target`
    test: TestSplit | None

    def facts(self) -> dict[str, object]:
        """What the study records about its data."""
        count = {
            split: len(self.manifest.select(split)) for split in ("train", "val", "unlabelled")
        }
        sources = {
            name: sum(sample.domain == name for sample in self.manifest.select("source"))
            for name in self.manifest.sources
        }
        return {
            **{f"n_{name}": n for name, n in count.items()},
            "n_test": len(self.test.paths) if self.test else 0,
            "sources": sources,
            "classes": list(self.manifest.classes),
            "image_size": self.data.image_size,
            "used": self.manifest.hash,
            "thumbnails": self._thumbnails(),
        }

    def _thumbnails(self) -> dict[str, list[str]]:
        """A few labelled images of each class, for the report."""
        labelled = self.target_samples or self.manifest.select("source")
        pictures: dict[str, list[str]] = {name: [] for name in self.manifest.classes}
        for sample in labelled:
            if sample.label is not None and len(pictures[sample.label]) < _THUMBNAILS:
                pictures[sample.label].append(str(sample.path))
        return pictures


def prepare(
    options: SearchOptions,
    cache_directory: Path,
    use: Callable[[ScannedData], tuple[ScannedData, int]],
    progress: Progress,
) -> PreparedData:
    """Read, check and decode everything a search may see. Raises DataError.

    `use` says which of the images found are used, and their side in pixels. `progress` may raise
    to stop.
    """
    scanned = scan(Path(options.target), [Path(path) for path in options.source])
    chosen, image_size = use(scanned)
    shares = {
        role: (len(chosen.manifest.select(*splits)), len(scanned.manifest.select(*splits)))
        for role, splits in _ROLES.items()
    }
    healthy, health = check_health(chosen, progress=progress)
    data = _decode(healthy, health, ImageCache(cache_directory), image_size, progress)
    target = healthy.manifest.select("train", "val")
    return PreparedData(
        found=scanned.manifest.hash,
        shares=shares,
        manifest=healthy.manifest,
        health=health,
        data=data,
        validation_rows=np.flatnonzero([sample.split == "val" for sample in target]),
        target_samples=target,
        test=healthy.test,
    )


def _decode(
    scanned: ScannedData,
    health: HealthReport,
    cache: ImageCache,
    image_size: int,
    progress: Progress,
) -> StudyData:
    """Decode the healthy images once into the cache."""
    manifest = scanned.manifest

    def load(samples: tuple[Sample, ...], classes: tuple[str, ...] | None) -> ImageSet | None:
        if not samples:
            return None
        paths, labels = [sample.path for sample in samples], _labels(samples, classes)
        return cache.load(paths, image_size, labels, progress=progress, digests=health.digests)

    target = manifest.select("train", "val")
    return StudyData(
        classes=manifest.classes,
        image_size=image_size,
        target=load(target, manifest.classes),
        unlabelled=load(manifest.select("unlabelled"), None),
        source=load(manifest.select("source"), manifest.classes),
        source_names=manifest.sources,
        source_domains=_domains(manifest),
        groups=health.group_ids([sample.path for sample in target]) if target else None,
    )


def _domains(manifest: Manifest) -> NDArray[np.int64] | None:
    """Row by row of the source images, which source they are of."""
    number = {name: place for place, name in enumerate(manifest.sources)}
    rows = [number[sample.domain] for sample in manifest.select("source")]
    return np.array(rows, np.int64) if rows else None


def _labels(
    samples: tuple[Sample, ...], classes: tuple[str, ...] | None
) -> NDArray[np.int64] | None:
    if classes is None:
        return None
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[sample.label] for sample in samples if sample.label is not None])
