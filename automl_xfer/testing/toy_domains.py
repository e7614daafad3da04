"""A labelled source and a shifted target, as features and as images, and a tiny backbone.

Deterministic: the same seed gives the same tensors, whatever was drawn before.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import Batch, StagedModel

NUM_CLASSES = 3
FEATURE_DIM = 16
IMAGE_SIZE = 32


@dataclass(frozen=True)
class ToyDomains:
    """Both domains with their labels; features (N, 16) float or images (N, 3, 32, 32) uint8."""

    source: Tensor
    source_labels: Tensor  # (N_s,) int64
    target: Tensor
    target_labels: Tensor  # (N_t,) int64, for a test to look at: no hook is given them


def toy_features(n_source: int = 45, n_target: int = 33, seed: int = 0) -> ToyDomains:
    """Three Gaussian classes; the target's are turned by 30 degrees in pairs of axes and moved."""
    random = torch.Generator().manual_seed(seed)
    means = 3 * torch.randn(NUM_CLASSES, FEATURE_DIM, generator=random)
    source_labels, target_labels = _labels(n_source), _labels(n_target)
    source, target = (
        means[labels] + torch.randn(len(labels), FEATURE_DIM, generator=random)
        for labels in (source_labels, target_labels)
    )
    return ToyDomains(source, source_labels, target @ _rotation(math.pi / 6) + 1.0, target_labels)


def toy_images(n_source: int = 18, n_target: int = 15, seed: int = 0) -> ToyDomains:
    """A red disc, a green cross and blue stripes; in the target paler and in other colours."""
    random = torch.Generator().manual_seed(seed)
    source_labels, target_labels = _labels(n_source), _labels(n_target)
    source, target = (_draw(labels, random) for labels in (source_labels, target_labels))
    paler = (0.6 * target.float().roll(1, dims=1) + 70).to(torch.uint8)
    return ToyDomains(source, source_labels, paler, target_labels)


def toy_model(seed: int = 0) -> StagedModel:
    """Three stages of convolution, batch norm and ReLU, then the mean: 16 features, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (3, 8, 12, FEATURE_DIM)
        stages = [_stage(widths[i], widths[i + 1]) for i in range(3)]
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return StagedModel(stages, pool, FEATURE_DIM, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def toy_batches(
    n_source: int = 12, n_target: int = 7, *, two_views: bool = False
) -> tuple[Batch, Batch]:
    """A source batch and an unlabelled target batch, sure of most images; features need gradients.

    With `two_views` the target batch carries its second view in `strong`.
    """
    domains = toy_features(n_source, n_target)
    soft = nn.functional.one_hot(domains.source_labels, NUM_CLASSES).float()
    means = soft.T @ domains.source / soft.sum(0)[:, None]
    noise = torch.randn(domains.target.shape, generator=torch.Generator().manual_seed(1))
    strong = _batch(domains.target + 0.5 * noise, means) if two_views else None
    return _batch(domains.source, means, soft), _batch(domains.target, means, strong=strong)


def _batch(
    features: Tensor, means: Tensor, labels: Tensor | None = None, strong: Batch | None = None
) -> Batch:
    leaf = features.clone().requires_grad_()
    return Batch(leaf, leaf @ means.T / math.sqrt(FEATURE_DIM), labels, strong=strong)


def _labels(n: int) -> Tensor:
    return torch.arange(n) % NUM_CLASSES


def _rotation(angle: float) -> Tensor:
    """Turn axes 0 and 1, 2 and 3, ... by `angle`."""
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    blocks: Tensor = torch.block_diag(*[turn] * (FEATURE_DIM // 2))
    return blocks


def _draw(labels: Tensor, random: torch.Generator) -> Tensor:
    """Shapes in their class's colour, moved by up to 3 pixels, on noise."""
    size = IMAGE_SIZE
    noise = torch.randint(40, 80, (len(labels), 3, size, size), generator=random)
    moves = torch.randint(-3, 4, (len(labels), 2), generator=random).tolist()
    shapes = _shapes()
    for image, label, move in zip(noise, labels.tolist(), moves, strict=True):
        image[label] += 150 * shapes[label].roll(move, dims=(0, 1))
    return noise.to(torch.uint8)


def _shapes() -> Tensor:
    """(3, 32, 32) of 0 and 1: a disc, a cross and stripes."""
    y, x = torch.meshgrid(*[torch.arange(IMAGE_SIZE) - IMAGE_SIZE // 2] * 2, indexing="ij")
    disc, cross, stripes = x**2 + y**2 < 81, (x.abs() < 4) | (y.abs() < 4), x % 8 < 4
    return torch.stack([disc, cross, stripes]).long()


def _stage(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
