"""The freezing axis: which backbone parameters train, and when."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class ParameterInfo:
    """One backbone parameter as a freezing policy sees it."""

    name: str
    stage: int  # 0-based index of the stage that owns it
    n_stages: int
    is_norm: bool  # belongs to a normalisation layer
    is_bias: bool


@dataclass(frozen=True)
class FreezingPolicy(Component):
    """Says which backbone parameters may change.

    A policy that never trains any provides the fact `frozen` (the head is then a closed form on
    cached features), every other one provides `trainable`. One that fits the head before any
    gradient step provides `fitted_head`.
    """

    axis: ClassVar[str] = "freezing"
    provides: ClassVar[frozenset[str]] = frozenset({"trainable"})
    head_first: ClassVar[bool] = False
    """Fit the head on frozen features before the first gradient step (LP-FT)."""

    averages: ClassVar[bool] = False
    """The weights are the mean of those that other strategies train.

    The class then has a plain field `ingredients: str = ""`; the search writes these strategies
    into it at its end, as JSON.
    """

    def wrap(self, backbone: nn.Module) -> None:
        """Add modules to the backbone in place before training (LoRA)."""

    def unwrap(self, backbone: nn.Module) -> None:
        """Undo `wrap` in place after training, with what was learnt merged into the weights."""

    @abstractmethod
    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        """Whether `parameter` trains in `epoch` (0-based)."""

    def share_of_start(self) -> float:
        """The weight, 0..1, of the weights before training in the finished model (WiSE-FT).

        For pretrained backbones whose head is fitted first (`head_first`), without `wrap`: there
        is no use in a share of random weights.
        """
        return 0.0
