"""Manifest: which images a study uses, in which role, and the labels it may see."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "unlabelled", "source"]


@dataclass(frozen=True)
class Sample:
    """One image. `given` is its path as the user wrote it; `label` is None when unlabelled."""

    path: Path
    given: str
    split: Split
    domain: str
    label: str | None


@dataclass(frozen=True)
class Manifest:
    """Everything a search may see, in a fixed order. Test images are not in here, ever.

    `unlabelled` samples have no label even where the user's folder or CSV has one.
    """

    samples: tuple[Sample, ...]

    def select(self, *splits: Split) -> tuple[Sample, ...]:
        """The samples of these splits, in order."""
        return tuple(sample for sample in self.samples if sample.split in splits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted class names: the labelled target's, or the sources' when it has no label."""
        labelled = self.select("train", "val") or self.select("source")
        return tuple(sorted({sample.label for sample in labelled if sample.label is not None}))

    @property
    def sources(self) -> tuple[str, ...]:
        """Sorted names of the source domains."""
        return tuple(sorted({sample.domain for sample in self.select("source")}))

    def facts(self) -> frozenset[str]:
        """What components may require of the data: see `automl_xfer.space.facts`."""
        facts = {"target_labels" if self.select("train", "val") else "no_target_labels"}
        if self.select("source"):
            facts.add("source")
        if self.select("unlabelled"):
            facts.add("unlabelled")
        return frozenset(facts)

    @property
    def hash(self) -> str:
        """Digest of roles, names and labels (not of pixels), for telling studies apart."""
        digest = hashlib.sha256()
        for sample in self.samples:
            row = (sample.given, sample.split, sample.domain, sample.label or "")
            digest.update("\0".join(row).encode() + b"\n")
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class TestSplit:
    """The target's test images with their labels: read once, by the final evaluation."""

    __test__ = False  # not a pytest class
    paths: tuple[Path, ...]
    given: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ScannedData:
    """What a folder or CSV holds: the searchable part, and the test split kept apart from it."""

    manifest: Manifest
    test: TestSplit | None
    warnings: tuple[str, ...] = ()
