"""Features of an ensemble's members: what several of them read is computed once."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from automl_xfer.components import FusedModel, Readings, StagedModel, StageFeatures
from automl_xfer.transfer.device import autocast
from automl_xfer.transfer.feature_cache import folded_readings, stages_kept
from automl_xfer.transfer.model import TransferModel, weights_key

Seen = dict[tuple[StagedModel, int], list[Tensor]]
"""What was computed of some images: (backbone, stages read) -> both views."""


def share_backbones(models: Iterable[TransferModel]) -> None:
    """Let models whose backbones have equal weights have one backbone.

    A fusion's members too, and one that is read at several stages.
    """
    known: dict[str, StagedModel] = {}

    def first(model: StagedModel) -> StagedModel:
        return known.setdefault(weights_key(model), model)

    for model in models:
        if isinstance(model.backbone, StageFeatures):
            model.backbone = model.backbone.on(first(model.backbone.plain))
        elif isinstance(model.backbone, FusedModel):
            members = [first(cast(StagedModel, member)) for member in model.backbone.members]
            model.backbone.members = nn.ModuleList(members)
        else:
            model.backbone = first(model.backbone)


class BackboneReader:
    """Computes the features of backbones; faster copies of these are made where that pays."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._fast: dict[tuple[StagedModel, int], nn.Module] = {}

    @torch.no_grad()
    def read(
        self,
        backbone: StagedModel,
        pixels: Tensor,
        seen: Seen,
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
        if isinstance(backbone, StageFeatures):
            views = self._readings(backbone.plain, backbone.n_read, pixels, seen, fold=fold)
            return [backbone.of_readings(view) for view in views]
        views = self._readings(backbone, 1, pixels, seen, fold=fold)
        return [view[:, -backbone.feature_dim :] for view in views]

    def _readings(
        self,
        backbone: StagedModel,
        n_read: int,
        pixels: Tensor,
        seen: Seen,
        *,
        fold: bool,
    ) -> list[Tensor]:
        """float32 (N, E + D) as `Readings` has them, of the images and of their mirror images."""
        key = backbone, stages_kept(n_read)
        if key not in seen:
            images = backbone.normalise(pixels)
            if fold and key not in self._fast:
                self._fast[key] = folded_readings(*key, images[:2])
            compute = self._fast.get(key) or Readings(*key)
            with autocast(self.device):
                seen[key] = [compute(view).float() for view in (images, images.flip(3))]
        return seen[key]
