"""Batch norms folded into the convolutions before them: the same function, faster on a CPU."""

import copy
from collections.abc import Sized

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_FEWEST = 64
_TOLERANCE = 1e-3
"""Largest difference, as a share of the largest output, that is put down to rounding."""


def worth_folding(images: Sized, device: str) -> bool:
    """On a CPU, from so many images on that the copy pays."""
    return device == "cpu" and len(images) >= _FEWEST


@torch.no_grad()
def fold_batch_norms(model: nn.Module, sample: Tensor) -> nn.Module:
    """A copy of an eval-mode `model` without the batch norms that directly follow a convolution.

    Which ones do is seen on `sample`, a small input batch, and so is that the copy computes the
    same; where it does not, `model` itself is returned. The copy is for predictions only.
    """
    folded = copy.deepcopy(model)
    pairs = _pairs(folded, sample)
    parents = {
        child: (module, name)
        for module in folded.modules()
        for name, child in module.named_children()
    }
    try:
        for convolution, norm in pairs:
            parent, name = parents[convolution]
            setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
            parent, name = parents[norm]
            setattr(parent, name, _after(norm))
        return folded if compute_alike(model, folded, sample) else model
    except (AttributeError, AssertionError, KeyError, RuntimeError, TypeError):
        return model  # a layer of another kind than torch's own fusion knows


@torch.no_grad()
def compute_alike(model: nn.Module, other: nn.Module, sample: Tensor) -> bool:
    """Whether two modules differ by no more than rounding on a small input batch."""
    expected, found = model(sample), other(sample)
    gap = (expected - found).abs().max()
    return bool(gap <= _TOLERANCE * expected.abs().max().clamp_min(1e-6))


def _pairs(model: nn.Module, sample: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """(convolution, batch norm that is given its output), in the order of a forward pass."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensors stay, so that no id comes twice
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(output)] = (module, output)
        elif isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made and _is_fixed(module):
            pairs.append((made[id(inputs[0])][0], module))

    hooks = [module.register_forward_hook(seen) for module in model.modules()]
    model(sample)
    for hook in hooks:
        hook.remove()
    return pairs


def _is_fixed(norm: nn.BatchNorm2d) -> bool:
    """Whether it has statistics of its own to fold."""
    return norm.running_mean is not None and norm.running_var is not None


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """What is left of a folded batch norm: timm's has its activation inside."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
