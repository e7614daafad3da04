"""Batch norms that normalise by each batch's own statistics while a fitted model adapts."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .batch_norm import re_estimate

Passes = Callable[[], Iterable[Tensor]]


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Every batch norm of the model."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def normalising_by_batch(model: nn.Module, target_batches: Passes) -> Iterator[Passes]:
    """Batch norms in training mode within; the rest of the model stays in evaluation mode.

    It gives the passes without batches of a single image, which have no statistics. At the end
    the running statistics become the mean over the batches of one more pass, through the changed
    weights: the model then treats a single image as it treated the batches.
    """

    def usable() -> Iterator[Tensor]:
        return (images for images in target_batches() if len(images) > 1)

    for norm in batch_norms(model):
        norm.train()
    yield usable
    model.eval()
    re_estimate(model, usable(), 1.0)
