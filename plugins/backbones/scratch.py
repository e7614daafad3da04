"""Untrained networks: the baseline that transfer has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Backbone, BackboneRequest, StagedModel

from .architecture import structure_facts, untrained
from .small_convnet import SMALL_CONVNET, STRUCTURE, small_convnet
from .timm_backbone import TimmBackbone


@dataclass(frozen=True)
class ScratchBackbone(Backbone):
    """A timm architecture, or the small convnet, with random weights.

    One candidate: the architecture of the first timm candidate, so that "from scratch" is a fair
    baseline; the small convnet where that alone is asked for. `arguments` is a JSON object of
    constructor arguments.
    """

    name = "scratch"
    initialisation = "random"

    model: str
    arguments: str = "{}"

    @classmethod
    def candidates(cls, request: BackboneRequest) -> Sequence["ScratchBackbone"]:
        if request.patterns == (SMALL_CONVNET,):
            return [cls(SMALL_CONVNET)]
        first = TimmBackbone.candidates(request)[:1]
        return [cls(found.network.split(".")[0], found.arguments) for found in first]

    def build(self, *, pretrained: bool = True) -> StagedModel:
        if self.model == SMALL_CONVNET:
            return small_convnet()
        return untrained(self.model, self.arguments)

    def facts(self) -> frozenset[str]:
        if self.model == SMALL_CONVNET:
            return STRUCTURE | {"random"}
        return structure_facts(self.model, self.arguments) | {"random"}

    @property
    def label(self) -> str:
        return f"scratch:{self.model}"
