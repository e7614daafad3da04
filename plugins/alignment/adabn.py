"""Adaptive batch normalisation."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Choice

from .batch_norm import re_estimate, statistics_key


@dataclass(frozen=True)
class AdaBN(AlignmentMethod):
    """Re-estimate the batch-norm statistics on images of the domain that is predicted.

    Running mean and variance become (1 - mix) times the pretrained ones plus mix times the mean
    over batches of each batch's own. On a frozen backbone source and target each get their own
    statistics; before fine-tuning the target's are set. Li et al. 2016, arXiv 1603.04779 (mix = 1);
    the mixture for few images: Schneider et al. 2020, arXiv 2006.16971.
    """

    name = "adabn"
    requires = frozenset({"batch_norm"})
    excludes = frozenset({"random"})
    trains_on = frozenset({"target"})
    adapts_each_domain = True
    finishes_first = True

    mix: float = Choice(1.0, (0.3, 0.5, 0.7, 1.0))

    def finish(self, model: nn.Module, target_batches: Iterable[Tensor]) -> None:
        """Without any batch the statistics stay as they are."""
        re_estimate(model, target_batches, self.mix)

    def finish_key(self) -> str:
        return statistics_key(self.mix)
