"""Pairing source images with target images, shared by the methods that change pixels."""

import torch
from torch import Tensor


def random_partners(images: Tensor, target_images: Tensor) -> Tensor:
    """A target image for each source image, drawn with replacement: (N, 3, H, W)."""
    drawn = torch.randint(len(target_images), (len(images),))
    return target_images[drawn.to(target_images.device)]


def change_some(images: Tensor, changed: Tensor, probability: float) -> Tensor:
    """Each image changed with `probability`, else as it was."""
    drawn = torch.rand(len(images)) < probability
    return torch.where(drawn.to(images.device)[:, None, None, None], changed, images)


def to_pixels(values: Tensor) -> Tensor:
    """Float values around 0..255 -> the nearest uint8."""
    return values.round().clamp(0, 255).to(torch.uint8)
