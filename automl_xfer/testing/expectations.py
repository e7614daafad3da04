"""What several axes' checks expect of a tensor, and how they look at it."""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from automl_xfer.components import Batch
from automl_xfer.testing.check import expect


def expect_shape(tensor: Tensor, shape: tuple[int, ...], what: str) -> None:
    """A tensor of this shape, every number finite."""
    expect(isinstance(tensor, Tensor), f"{what} is {type(tensor).__name__}, no tensor")
    got = tuple(tensor.shape)
    expect(got == shape, f"{what} has shape {got}; it must be {shape}")
    expect(tensor.isfinite().all(), f"{what} is not finite everywhere")


def expect_scalar(loss: Tensor, what: str) -> None:
    """A finite loss of no dimensions."""
    expect(isinstance(loss, Tensor), f"{what} is {type(loss).__name__}; return a tensor")
    got = tuple(loss.shape)
    expect(got == (), f"{what} has shape {got}; return a scalar, as mean() does")
    expect(loss.isfinite(), f"{what} is {loss.item()}; it must be finite")


def expect_gradient(loss: Tensor, leaves: Iterable[Tensor], what: str) -> None:
    """The loss reaches one of `leaves` at least, with finite gradients; a constant 0 need not."""
    if not loss.requires_grad:
        expect(loss == 0, f"{what} is {loss.item():.3g} and has no gradient; do not detach it")
        return
    gradients = torch.autograd.grad(loss, list(leaves), allow_unused=True)
    found = [gradient for gradient in gradients if gradient is not None]
    expect(found, f"{what} depends on nothing that trains")
    finite = all(gradient.isfinite().all() for gradient in found)
    expect(finite, f"{what} has a gradient that is not finite; guard square roots and logarithms")


def expect_unchanged(before: Iterable[Tensor], after: Iterable[Tensor], what: str) -> None:
    """Every tensor is what it was."""
    same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    expect(same, f"{what} changed in place; work on a copy")


def expect_same_layout(before: Mapping[str, Tensor], module: nn.Module, what: str) -> None:
    """A state dict with the keys and shapes of `before`, every number finite."""
    after = module.state_dict()
    differing = sorted(before.keys() ^ after.keys())
    expect(not differing, f"{what} changed the state dict: {', '.join(differing[:3])}")
    for name, tensor in after.items():
        expect_shape(tensor, tuple(before[name].shape), f"{name} after {what}")


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict."""
    return copy.deepcopy(module.state_dict())


def tensors_of(*batches: Batch) -> list[Tensor]:
    """The tensors of batches, second views too."""
    found: list[Tensor] = []
    for batch in batches:
        parts = (batch.features, batch.logits, batch.labels, batch.teacher)
        found += [part for part in parts if part is not None]
        found += tensors_of(batch.strong) if batch.strong is not None else []
    return found
