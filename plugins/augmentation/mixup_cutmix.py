"""Mixup and CutMix."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from automl_xfer.components import AugmentationPolicy, Float

from .flip_crop import flip_crop


@dataclass(frozen=True)
class MixupCutMix(AugmentationPolicy):
    """Flip and crop; then, on a share `probability` of the batches, mix pairs of images.

    Each such batch draws λ ~ Beta(alpha, alpha) and one of the two by a coin. Mixup (Zhang et al.
    2018, arXiv 1710.09412): λ x_i + (1−λ) x_j. CutMix (Yun et al. 2019, arXiv 1905.04899): a box
    with 1−λ of the area comes from x_j, clipped at the border. Labels mix by the same shares.
    """

    name = "mixup-cutmix"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    provides = frozenset({"mixed_images"})
    complexity = 2

    alpha: float = Float(0.2, low=0.1, high=1.0)
    probability: float = Float(0.5, low=0.1, high=1.0)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return lambda images: flip_crop(images, image_size, self.scale_min)

    def mix(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        seed = torch.randint(2**31, (1,), generator=generator, device=generator.device)
        random = np.random.default_rng(int(seed))  # torch draws no Beta from a generator
        if random.random() >= self.probability:
            return images, labels
        share = float(random.beta(self.alpha, self.alpha))
        partner = torch.from_numpy(random.permutation(len(images))).to(images.device)
        if random.random() < 0.5:
            mixed = share * images + (1 - share) * images[partner]
        else:
            mixed, share = cutmix(images, partner, share, random)
        return mixed, share * labels + (1 - share) * labels[partner]


def cutmix(
    images: Tensor, partner: Tensor, share: float, random: np.random.Generator
) -> tuple[Tensor, float]:
    """Images with one box from their partners, and the share of each image that is left."""
    height, width = images.shape[2:]
    side = np.sqrt(1 - share) / 2
    y, x = random.integers(height), random.integers(width)
    top, bottom = np.clip([int(y - side * height), int(y + side * height)], 0, height)
    left, right = np.clip([int(x - side * width), int(x + side * width)], 0, width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    return mixed, 1 - float((bottom - top) * (right - left)) / (height * width)
