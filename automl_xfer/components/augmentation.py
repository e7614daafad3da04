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

    def training_size(self, image_size: int, progress: float) -> int:
        """Side in pixels that an epoch at `progress` 0..1 of the training asks `transform` for.

        At most `image_size`, at which the model predicts. Smaller images cost less. Who overrides
        this makes images of the size that `transform` and `strong` are given.
        """
        return image_size

    def mix(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix normalised images (N, 3, H, W) and their class probabilities (N, K)."""
        return images, labels

    def strong(self, image_size: int) -> Callable[[Tensor], Tensor]:
        """The second, stronger view for methods with `two_views`; by default another draw."""
        return self.transform(image_size)

    def between_stages(self, activations: Tensor, stage: int, n_stages: int) -> Tensor:
        """Vary what the 0-based `stage` of the backbone put out, in training only (MixStyle)."""
        return activations

    def perturb(self, images: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Change normalised images (N, 3, H, W) knowing their training loss (FGSM).

        `loss(images)` is the scalar cross-entropy, differentiable by the images.
        """
        return images
