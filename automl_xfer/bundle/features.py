"""Features of an ensemble's members: what several of them read is computed once."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from automl_xfer.components import FusedModel, StagedModel
from automl_xfer.transfer.device import autocast
from automl_xfer.transfer.folding import fold_batch_norms
from automl_xfer.transfer.model import TransferModel, weights_key


def share_backbones(models: Iterable[TransferModel]) -> None:
    """Let models whose backbones have equal weights have one backbone, a fusion's members too."""
    known: dict[str, StagedModel] = {}

    def first(model: StagedModel) -> StagedModel:
        return known.setdefault(weights_key(model), model)

    for model in models:
        if isinstance(model.backbone, FusedModel):
            members = [first(cast(StagedModel, member)) for member in model.backbone.members]
            model.backbone.members = nn.ModuleList(members)
        else:
            model.backbone = first(model.backbone)


class BackboneReader:
    """Computes the features of backbones; faster copies of these are made where that pays."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._fast: dict[StagedModel, nn.Module] = {}

    @torch.no_grad()
    def read(
        self,
        backbone: StagedModel,
        pixels: Tensor,
        seen: dict[StagedModel, list[Tensor]],
        *,
        fold: bool = False,
    ) -> list[Tensor]:
        """float32 features (N, D) of uint8 pixels (N, 3, H, W) and of their mirror images.

        `seen` holds what was computed from these pixels before, and is added to. `fold`: there are
        images enough for a copy without batch norms to pay.
        """
        if isinstance(backbone, FusedModel):
            members = [cast(StagedModel, member) for member in backbone.members]
            found = [self.read(member, pixels, seen, fold=fold) for member in members]
            return [backbone.join(view) for view in zip(*found, strict=True)]
        if backbone not in seen:
            images = backbone.normalise(pixels)
            compute = self._compute(backbone, images, fold=fold)
            with autocast(self.device):
                seen[backbone] = [compute(view).float() for view in (images, images.flip(3))]
        return seen[backbone]

    def _compute(self, backbone: StagedModel, images: Tensor, *, fold: bool) -> nn.Module:
        """The backbone, with its batch norms folded once that paid."""
        if fold and backbone not in self._fast:
            self._fast[backbone] = fold_batch_norms(backbone, images[:2])
        return self._fast.get(backbone, backbone)
