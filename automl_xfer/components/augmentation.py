"""The augmentation axis: how training images are varied."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class AugmentationPolicy(Component):
    """Varies training images; never applied at evaluation. Needs gradient training."""

    axis: ClassVar[str] = "augmentation"
    requires: ClassVar[frozenset[str]] = frozenset({"trainable"})

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        """A callable on uint8 batches (N, 3, H, W) -> (N, 3, image_size, image_size) uint8.

        Each image gets its own draw. Randomness comes from torch's global generator.
        """
        return lambda images: images

    def mix(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix normalised images (N, 3, H, W) and their class probabilities (N, K)."""
        return images, labels
