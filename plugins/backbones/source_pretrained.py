"""The small convnet, pretrained on the study's own source images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from automl_xfer.components import Backbone, BackboneRequest, StagedModel

from .small_convnet import SMALL_CONVNET, STRUCTURE, small_convnet


@dataclass(frozen=True)
class SourcePretrainedBackbone(Backbone):
    """The small convnet as the study pretrains it on the source, where no download is wanted.

    `build` gives the weights before that training; they depend on `seed` alone.
    """

    name = "source-pretrained"
    initialisation = "source"

    model: str = SMALL_CONVNET
    seed: int = 0

    @classmethod
    def candidates(cls, request: BackboneRequest) -> Sequence["SourcePretrainedBackbone"]:
        return [cls()] if request.has_source and SMALL_CONVNET in request.patterns else []

    def build(self, *, pretrained: bool = True) -> StagedModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return small_convnet()

    def facts(self) -> frozenset[str]:
        return STRUCTURE | {"source_pretrained"}

    @property
    def label(self) -> str:
        return f"source-pretrained:{self.model}"
