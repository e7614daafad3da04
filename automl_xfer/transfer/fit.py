"""fit: train one strategy on given parts; the same code for a trial's fold and the final model."""

import copy
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from automl_xfer.components import StagedModel, Strategy
from automl_xfer.transfer.closed_form import (
    FrozenFeatures,
    adapts_backbone,
    finish_backbone,
    fit_closed_form,
)
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.gradient import EpochCallback, train
from automl_xfer.transfer.model import TransferModel, predict_probabilities
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.pretrain import starting_backbone


@dataclass
class FittedStrategy:
    """A trained model, and a way to predict that uses cached features where they hold."""

    model: TransferModel
    device: str
    seconds: float = 0.0
    target: FrozenFeatures | None = None  # both set while the backbone is a cached one
    source: FrozenFeatures | None = None

    @torch.no_grad()
    def predict(self, part: Part, *, from_source: bool = False) -> NDArray[np.float32]:
        """Class probabilities (N, K), averaged over the image and its mirror image.

        `from_source` says that the images are the source's, which a closed-form alignment maps
        differently.
        """
        features = self.source if from_source else self.target
        if features is None:
            return predict_probabilities(self.model, part, self.device)
        head = self.model.head.to("cpu").eval()
        rows = [head(features.mapped(part, flip=flip)).softmax(1) for flip in (False, True)]
        mean: NDArray[np.float32] = torch.stack(rows).mean(0).numpy()
        return mean


def fit(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    on_epoch: EpochCallback | None = None,
) -> FittedStrategy:
    """Train `strategy` on `parts`. Deterministic on the CPU for a given seed.

    `on_epoch(epoch, model)` is called after each epoch of gradient training. Raises
    NonFiniteLossError when the loss stops being finite.
    """
    started = perf_counter()
    backbone = starting_backbone(strategy.backbone, parts, context)
    torch.manual_seed(context.seed)
    if strategy.frozen:
        fitted = _fit_frozen(strategy, parts, context, backbone)
    else:
        model = train(strategy, parts, context, backbone, on_epoch)
        finish_backbone(strategy.alignment, model.backbone, parts.unlabelled, context.device)
        fitted = FittedStrategy(model, context.device)
    fitted.seconds = perf_counter() - started
    return fitted


def _fit_frozen(
    strategy: Strategy, parts: TrainingParts, context: FitContext, backbone: StagedModel
) -> FittedStrategy:
    source = target = FrozenFeatures(context.cache, backbone, context.device)
    if adapts_backbone(strategy.alignment):
        adapted = copy.deepcopy(backbone)
        finish_backbone(strategy.alignment, adapted, parts.unlabelled, context.device)
        target = FrozenFeatures(context.cache, adapted, context.device)
    head, aligned = fit_closed_form(strategy, parts, source, target)
    return FittedStrategy(
        TransferModel(target.backbone, head, aligned.target_map),
        context.device,
        target=replace(target, feature_map=aligned.target_map),
        source=replace(source, feature_map=aligned.source_map),
    )
