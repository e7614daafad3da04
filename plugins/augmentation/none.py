"""No augmentation."""

from dataclasses import dataclass

from automl_xfer.components import AugmentationPolicy


@dataclass(frozen=True)
class NoAugmentation(AugmentationPolicy):
    """Train on the images as they are."""

    name = "none"
    requires = frozenset()
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    complexity = 0
