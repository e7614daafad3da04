"""Parts: which images one fit may use, and the labels it may see."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from automl_xfer.data.image_set import ImageSet

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Some images of an image set. `labels` (N,) goes with `indices` (N,); None: unlabelled.

    `domains` says for every image of the whole set which source it is of; `weights` (N,) say how
    much each counts in training, mean 1; None: all alike.
    """

    image_set: ImageSet
    indices: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    domains: NDArray[np.int64] | None = None
    weights: NDArray[np.float32] | None = None

    @classmethod
    def whole(cls, image_set: ImageSet) -> Self:
        """All images of a set with the labels it has."""
        return cls(image_set, np.arange(len(image_set)), image_set.labels)

    def take(self, positions: NDArray[np.int64]) -> "Part":
        """The images at `positions` of this part."""
        labels = None if self.labels is None else self.labels[positions]
        weights = None if self.weights is None else self.weights[positions]
        return Part(self.image_set, self.indices[positions], labels, self.domains, weights)

    def without_labels(self) -> "Part":
        """The same images; the labels are gone, not hidden."""
        return Part(self.image_set, self.indices, domains=self.domains)

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class TrainingParts:
    """What one fit trains on. Target labels exist only in `target`.

    `every_target` are all target images of the study, without labels; None: `unlabelled` are all.
    """

    num_classes: int
    target: Part | None  # labelled target images
    source: Part | None  # labelled source images
    unlabelled: tuple[Part, ...]  # target images without labels, for alignment
    every_target: tuple[Part, ...] | None = None

    @property
    def adapting(self) -> tuple[Part, ...]:
        """The images whose statistics change a backbone.

        In every fold all that there are, so that folds share the backbone and its features.
        """
        return self.unlabelled if self.every_target is None else self.every_target


@dataclass(frozen=True)
class StudyData:
    """The decoded images of a study, as handed to trials. The test split is not in here."""

    classes: tuple[str, ...]
    image_size: int
    target: ImageSet | None = None
    unlabelled: ImageSet | None = None
    source: ImageSet | None = None
    groups: NDArray[np.int64] | None = None  # (N,) images of `target` that must share a fold
    source_names: tuple[str, ...] = ()
    source_domains: NDArray[np.int64] | None = None  # (N,) which of `source_names` each image is of

    @property
    def source_part(self) -> Part | None:
        """All source images with labels and domains."""
        if self.source is None:
            return None
        return replace(Part.whole(self.source), domains=self.source_domains)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)
