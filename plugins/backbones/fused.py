"""Several backbones side by side, their features concatenated."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from automl_xfer.components import Backbone, BackboneRequest, StagedModel

from .timm_backbone import TimmBackbone

_MOST = 4  # pairs of the first four candidates


class SideBySide(nn.Module):
    """Each member's features, scaled to unit length, side by side: (N, 3, H, W) -> (N, sum D).

    Members get pixels normalised in their own way from the common mean and standard deviation.
    """

    def __init__(self, members: Sequence[StagedModel]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        first = self.members[0]
        features = []
        for member in self.members:
            own = (images * first.std + first.mean - member.mean) / member.std
            features.append(unit_length(member(own)))
        return torch.cat(features, dim=1)


def unit_length(features: Tensor) -> Tensor:
    """Rows scaled to length sqrt(D), so that every member speaks equally loud."""
    return nn.functional.normalize(features, dim=1) * math.sqrt(features.shape[1])


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

    def build(self, *, pretrained: bool = True) -> StagedModel:
        models = [member.build(pretrained=pretrained) for member in self._members()]
        return StagedModel(
            [SideBySide(models)],
            nn.Identity(),
            sum(model.feature_dim for model in models),
            mean=models[0].mean.flatten().tolist(),
            std=models[0].std.flatten().tolist(),
        )

    def facts(self) -> frozenset[str]:
        common = frozenset.intersection(*(member.facts() for member in self._members()))
        return (common - {"stages"}) | {"fused"}

    @property
    def relative_cost(self) -> float:
        return sum(member.relative_cost for member in self._members())

    @property
    def label(self) -> str:
        return " + ".join(member.label for member in self._members())

    def _members(self) -> list[TimmBackbone]:
        return [TimmBackbone.from_dict(data) for data in json.loads(self.members)]
