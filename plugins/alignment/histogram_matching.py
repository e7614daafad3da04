"""Histogram matching."""

from dataclasses import dataclass

import torch
from torch import Tensor

from automl_xfer.components import AlignmentMethod, Float

from .pixels import change_some, random_partners

LEVELS = 256


@dataclass(frozen=True)
class HistogramMatching(AlignmentMethod):
    """Give a source image the histogram of each colour of a random target image.

    A pixel of level v becomes the smallest level u with F_t(u) >= F_s(v), F the share of the
    channel's pixels at or below a level; with probability `probability`. Gonzalez and Woods,
    Digital Image Processing (histogram specification).
    """

    name = "histogram-matching"
    requires = frozenset({"source", "trainable"})

    probability: float = Float(0.5, low=0.1, high=1.0)

    def transform_source(self, images: Tensor, target_images: Tensor) -> Tensor:
        matched = match_histograms(images, random_partners(images, target_images))
        return change_some(images, matched, self.probability)


def match_histograms(source: Tensor, target: Tensor) -> Tensor:
    """uint8 pairs (N, 3, H, W) and (N, 3, H', W') -> the source with the target's histograms."""
    levels, goal = (images.flatten(2).long() for images in (source, target))
    # Whole numbers, so that equal shares are found equal: counts over a common denominator.
    shares = _counts_up_to(levels) * goal.shape[2]
    level_of = torch.searchsorted(_counts_up_to(goal) * levels.shape[2], shares)
    return level_of.gather(2, levels).view_as(source).to(torch.uint8)


def _counts_up_to(levels: Tensor) -> Tensor:
    """(N, 3, P) levels -> (N, 3, 256) how many pixels are at or below each."""
    counts = torch.zeros(*levels.shape[:2], LEVELS, dtype=torch.int64, device=levels.device)
    return counts.scatter_add_(2, levels, torch.ones_like(levels)).cumsum(2)
