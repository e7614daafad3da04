"""Adversarial training by the fast gradient sign method."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_xfer.components import AugmentationPolicy, Float

from .flip_crop import flip_crop


@dataclass(frozen=True)
class FastGradientSign(AugmentationPolicy):
    """Flip and crop; then move some images a small step towards a higher loss.

    x + ε · sign(∂loss/∂x) for each image with probability `share`; `epsilon` in units of
    normalised pixels (0.02 is about one of 255 grey values). Goodfellow, Shlens and Szegedy 2015,
    arXiv 1412.6572, who add the losses of all images with and without the step. Doubles the time
    of a step.
    """

    name = "fgsm"
    excludes = frozenset({"two_views"})  # FixMatch's are weak-strong's
    complexity = 3

    epsilon: float = Float(0.02, low=0.005, high=0.2, log=True)
    share: float = Float(0.5, low=0.1, high=1.0)
    scale_min: float = Float(0.6, low=0.25, high=1.0)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        return lambda images: flip_crop(images, image_size, self.scale_min)

    def perturb(self, images: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        moved = (torch.rand(len(images), 1, 1, 1) < self.share).to(images.device)
        at = images.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(at), at)  # of the images alone
        return images + self.epsilon * moved * slope.sign()
