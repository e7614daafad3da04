"""Averaging: trained weights drawn back towards those that training began with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class StartingWeights:
    """A copy of the weights before training, of which a share comes back after it.

    (1 - share) * trained + share * start, parameter by parameter, the head's too. Wortsman et al.
    2022, arXiv 2109.01903 (WiSE-FT).
    """

    share: float  # 0..1
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, model: nn.Module, share: float) -> "StartingWeights":
        """Those of a model about to be trained; nothing is copied for a share of 0."""
        named = model.named_parameters() if share else ()
        return cls(share, {name: each.detach().clone() for name, each in named})

    @contextmanager
    def mixed(self, model: nn.Module) -> Iterator[None]:
        """The model as it would be if training ended now, for as long as the context lasts."""
        trained = StartingWeights.of(model, self.share)
        self.mix_into(model)
        yield
        replace(trained, share=1.0).mix_into(model)

    @torch.no_grad()
    def mix_into(self, model: nn.Module) -> None:
        """Average in place. A parameter that did not change stays as it is, bit by bit."""
        parameters = dict(model.named_parameters())
        for name, start in self.weights.items():
            parameters[name].lerp_(start, self.share)
