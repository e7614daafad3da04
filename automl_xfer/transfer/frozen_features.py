"""Features of a frozen backbone, as a strategy's head reads them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from automl_xfer.components import Head, StagedModel, StageFeatures, Strategy
from automl_xfer.transfer.feature_cache import FeatureCache, model_keys
from automl_xfer.transfer.parts import Part

MIRROR_LIMIT = 600
"""Mirror images are a second view of parts up to this size; beyond it they add little but time."""


@dataclass(frozen=True)
class FrozenFeatures:
    """Reads the features of parts for one backbone, as the head takes them.

    The backbone must not change while this is in use.
    """

    cache: FeatureCache
    backbone: StagedModel
    device: str
    feature_map: nn.Linear | None = None
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Digest the weights once."""
        if not self.keys:
            object.__setattr__(self, "keys", model_keys(self.backbone))

    def read(self, part: Part, *, flip: bool = False) -> Tensor:
        """(N, D') float32 features of a part."""
        found = self.cache.features(
            self.backbone,
            part.image_set,
            self.device,
            flip=flip,
            keys=self.keys,
            rows=part.indices,
        )
        features = torch.from_numpy(np.asarray(found, np.float32))
        return features if self.feature_map is None else self.feature_map(features)

    def views(self, part: Part) -> list[Tensor]:
        """The features of the images and, for a small set, of their mirror images."""
        flips = (False, True) if len(part.image_set) <= MIRROR_LIMIT else (False,)
        return [self.read(part, flip=flip) for flip in flips]


def read_stages(strategy: Strategy, backbone: StagedModel) -> StagedModel:
    """The backbone as the strategy's head reads it: pooled, or at several stages."""
    n_read = strategy.head.stages_read
    return StageFeatures(backbone, n_read) if n_read > 1 else backbone


def head_for(strategy: Strategy, backbone: StagedModel) -> Head:
    """The strategy's head for the features that it reads from this backbone."""
    if isinstance(backbone, StageFeatures):
        return strategy.head.on_stages(backbone.widths)
    return strategy.head
