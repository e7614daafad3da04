"""fit: train one strategy on given parts; the same code for a trial's fold and the final model."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from automl_xfer.components import StagedModel, Strategy
from automl_xfer.transfer.closed_form import MIRROR_LIMIT, ClosedForm, fit_closed_form
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.finishing import finish_backbone
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
    closed_form: ClosedForm | None = None  # set while the features are cached ones

    @torch.no_grad()
    def predict(self, part: Part, *, from_source: bool = False) -> NDArray[np.float32]:
        """Class probabilities (N, K); in a small set the mean over the image and its mirror image.

        Every strategy is scored alike; a bundle always looks at the mirror image too.
        `from_source` says that the images are the source's, which a closed-form alignment maps
        differently, and which the head before its refinement on the target is made for.
        """
        fitted = self.closed_form
        if fitted is None:
            mirror = len(part.image_set) <= MIRROR_LIMIT
            return predict_probabilities(self.model, part, self.device, flip=mirror)
        reader, head = (
            (fitted.source, fitted.source_head)
            if from_source
            else (fitted.target, fitted.target_head)
        )
        rows = [head(view).softmax(1) for view in reader.views(part)]
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
        closed = fit_closed_form(strategy, parts, backbone, context)
        model = TransferModel(closed.target.backbone, closed.target_head, closed.target.feature_map)
        fitted = FittedStrategy(model, context.device, closed_form=closed)
    else:
        model = _train_and_finish(strategy, parts, context, backbone, on_epoch)
        fitted = FittedStrategy(model, context.device)
    fitted.seconds = perf_counter() - started
    return fitted


def _train_and_finish(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    backbone: StagedModel,
    on_epoch: EpochCallback | None,
) -> TransferModel:
    """Gradient training, with the alignment's `finish` before or after it."""
    alignment = strategy.alignment
    if alignment.finishes_first:
        finish_backbone(alignment, backbone, parts.unlabelled, context)
    model = train(strategy, parts, context, backbone, on_epoch)
    if not alignment.finishes_first:
        finish_backbone(alignment, model.backbone, parts.unlabelled, context)
    return model
