"""Several backbones side by side, their features concatenated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from automl_xfer.components import Backbone, BackboneRequest, FusedModel

from .timm_backbone import TimmBackbone

_MOST = 4  # pairs of the first four candidates


@dataclass(frozen=True)
class FusedBackbone(Backbone):
    """The concatenated features of two pretrained backbones, for frozen strategies.

    `members` is a JSON list of the members' own data.
    """

    name = "fused"
    complexity = 2

    members: str

    @classmethod
    def candidates(cls, request: BackboneRequest) -> Sequence["FusedBackbone"]:
        single = list(TimmBackbone.candidates(request))[:_MOST]
        return [
            cls(json.dumps([member.to_dict() for member in pair], sort_keys=True))
            for pair in combinations(single, 2)
        ]

    def build(self, *, pretrained: bool = True) -> FusedModel:
        return FusedModel([member.build(pretrained=pretrained) for member in self._members()])

    def facts(self) -> frozenset[str]:
        common = frozenset.intersection(*(member.facts() for member in self._members()))
        return (common - {"stages", "maps", "classifier"}) | {"fused"}

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(member.label for member in self._members())

    @property
    def label(self) -> str:
        return " + ".join(member.label for member in self._members())

    def _members(self) -> list[TimmBackbone]:
        return [TimmBackbone.from_dict(data) for data in json.loads(self.members)]
