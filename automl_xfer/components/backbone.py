"""The backbone axis: what turns images into features."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from automl_xfer.components.base import Component

Initialisation = Literal["pretrained", "random", "source"]


class StagedModel(nn.Module):
    """A backbone as a row of stages and a pooling end: (N, 3, H, W) normalised -> (N, D).

    `stages` run in order, each on the output of the one before; `pool` makes the last output
    (N, D). Freezing policies cut between stages. `classifier` makes a fresh copy of the
    pretraining's classifier, (N, D) -> logits; a plain function, so that its weights are no part
    of the model, and one that can be copied and pickled.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        pool: nn.Module,
        feature_dim: int,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        classifier: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.stages = nn.ModuleList(stages)
        self.pool = pool
        self.feature_dim = feature_dim
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images (N, 3, H, W) in 0..255 -> float images as the weights expect them."""
        return (images.float() / 255.0 - self.mean) / self.std

    def forward(self, images: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Run stages `start` to `stop`; without `stop`, to the end and through the pooling.

        With `start` > 0 `images` are the activations that `forward(x, 0, start)` returned.
        """
        for stage in self.stages[start:stop]:
            images = stage(images)
        return self.pool(images) if stop is None else images


class FusedModel(StagedModel):
    """Several models side by side: their features, each scaled to length sqrt(D), concatenated.

    Frozen only: it is one stage. The feature cache reads the members' own cached features.
    """

    def __init__(self, members: Sequence[StagedModel]) -> None:
        dim = sum(member.feature_dim for member in members)
        first = members[0]
        mean, std = first.mean.flatten().tolist(), first.std.flatten().tolist()
        super().__init__([], nn.Identity(), dim, mean=mean, std=std)
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Images normalised as for the first member; each gets them normalised its own way."""
        pixels = images * self.std + self.mean
        members = [cast(StagedModel, member) for member in self.members]
        return self.join([member((pixels - member.mean) / member.std) for member in members])

    def join(self, features: Sequence[Tensor]) -> Tensor:
        """The members' features (N, D_i) -> (N, sum of D_i), every member equally loud."""
        scaled = [nn.functional.normalize(f, dim=1) * math.sqrt(f.shape[1]) for f in features]
        return torch.cat(scaled, dim=1)


@dataclass(frozen=True)
class BackboneRequest:
    """What a study asks of the backbone axis.

    `patterns` are timm names with wildcards (none: the class's own short portfolio);
    `weights_dir` holds folders in timm's local layout, used in place of the hub.
    """

    patterns: tuple[str, ...] = ()
    weights_dir: Path | None = None
    accelerator: bool = False  # True on a GPU: larger default portfolio
    has_source: bool = False


@dataclass(frozen=True)
class Backbone(Component):
    """Makes a `StagedModel`. One instance is one candidate of the search."""

    axis: ClassVar[str] = "backbone"
    initialisation: ClassVar[Initialisation] = "pretrained"
    """`source`: the study trains it on the source images first, once, and keeps the weights."""

    @classmethod
    @abstractmethod
    def candidates(cls, request: BackboneRequest) -> Sequence["Backbone"]:
        """The candidates this class offers for `request`, best guess first; may be empty.

        A pattern that names no model of this class is not an error here: the catalog reports a
        pattern that no class knows.
        """

    @abstractmethod
    def build(self, *, pretrained: bool = True) -> StagedModel:
        """The model with its starting weights, or the bare architecture if not `pretrained`.

        Raises BackboneUnavailableError when the weights cannot be had.
        """

    @abstractmethod
    def facts(self) -> frozenset[str]:
        """What holds for this backbone without loading it: `pretrained`, `random`, ..."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Labels of the candidates that it is made of: its own, or those of a fusion's members."""
        return (self.label,)
