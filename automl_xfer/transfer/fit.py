"""fit: train one strategy on given parts; the same code for a trial's fold and the final model."""

import copy
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_xfer.components import StagedModel, Strategy
from automl_xfer.transfer.adapting import adapt_model, adapts_model
from automl_xfer.transfer.closed_form import ClosedForm, fit_closed_form
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.finishing import adapts_backbone, finish_backbone
from automl_xfer.transfer.frozen_features import MIRROR_LIMIT, read_stages
from automl_xfer.transfer.frozen_prefix import frozen_prefix
from automl_xfer.transfer.gradient import EpochCallback, Teacher, train
from automl_xfer.transfer.model import TransferModel
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.predicting import part_features, predict_probabilities
from automl_xfer.transfer.pretrain import starting_backbone
from automl_xfer.transfer.stage_cache import FrozenPrefix


@dataclass
class FittedStrategy:
    """A trained model, and a way to predict that uses cached features where they hold.

    `source_model` is the model before it was adapted to the target, where it was. `spared` are the
    seconds that training took when it was done, where its weights were kept.
    """

    model: TransferModel
    device: str
    seconds: float = 0.0
    closed_form: ClosedForm | None = None  # set while the features are cached ones
    source_model: TransferModel | None = None
    prefix: FrozenPrefix | None = None  # stages of `model` that other fits share
    micro_batches: int = 1  # that a training step was cut into, to fit the memory
    spared: float = 0.0

    @torch.no_grad()
    def predict(self, part: Part, *, from_source: bool = False) -> NDArray[np.float32]:
        """Class probabilities (N, K); in a small set the mean over the image and its mirror image.

        Every strategy is scored alike; a bundle always looks at the mirror image too.
        `from_source` says that the images are the source's, which a closed-form alignment maps
        differently, and which the head before its refinement on the target is made for.
        """
        fitted, adapted = self.closed_form, self.source_model is not None
        if fitted is None or (adapted and not from_source):
            model = self.source_model if from_source and self.source_model else self.model
            mirror = len(part.image_set) <= MIRROR_LIMIT
            prefix = None if from_source else self.prefix
            return predict_probabilities(model, part, self.device, flip=mirror, prefix=prefix)
        reader, head = (
            (fitted.source, fitted.source_head)
            if from_source
            else (fitted.target, fitted.target_head)
        )
        rows = [head(view).softmax(1) for view in reader.views(part)]
        mean: NDArray[np.float32] = torch.stack(rows).mean(0).numpy()
        return mean

    @torch.no_grad()
    def features(self, part: Part, *, from_source: bool = False) -> Tensor:
        """(N, D') features of a part as the head takes them, on the CPU."""
        if self.closed_form is not None and (from_source or self.source_model is None):
            fitted = self.closed_form
            return (fitted.source if from_source else fitted.target).read(part)
        model = self.source_model if from_source and self.source_model else self.model
        return part_features(model, part, self.device, None if from_source else self.prefix)

    @torch.no_grad()
    def classify(self, features: Tensor) -> NDArray[np.float32]:
        """Class probabilities (N, K) of target features (N, D')."""
        held = (*self.model.head.parameters(), *self.model.head.buffers())
        device = held[0].device if held else features.device
        logits = self.model.head(features.to(device))
        probabilities: NDArray[np.float32] = logits.float().softmax(1).cpu().numpy()
        return probabilities


def fit(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    on_epoch: EpochCallback | None = None,
    teacher: Teacher | None = None,
) -> FittedStrategy:
    """Train `strategy` on `parts`. Deterministic on the CPU for a given seed and a given cache.

    `on_epoch(epoch, model)` is called after each epoch of gradient training. `teacher` tells a
    regularizer that distils what to say of the images of a part. Raises NonFiniteLossError when
    the loss stops being finite.
    """
    started = perf_counter()
    if strategy.frozen:
        backbone = _start(strategy, parts, context)
        closed = fit_closed_form(strategy, parts, backbone, context)
        model = TransferModel(closed.target.backbone, closed.target_head, closed.target.feature_map)
        fitted = FittedStrategy(model, context.device, closed_form=closed)
    else:
        model, micro_batches = _train_within_memory(strategy, parts, context, on_epoch, teacher)
        prefix = shared_prefix(strategy, context, model)
        fitted = FittedStrategy(model, context.device, prefix=prefix, micro_batches=micro_batches)
    if adapts_model(strategy.alignment):
        fitted.source_model = fitted.model
        fitted.model = copy.deepcopy(fitted.model)
        adapt_model(strategy.alignment, fitted.model, parts.unlabelled, context)
    fitted.seconds = perf_counter() - started
    return fitted


def _start(strategy: Strategy, parts: TrainingParts, context: FitContext) -> StagedModel:
    """The backbone as the head reads it, and the random numbers that every fit begins with."""
    start = starting_backbone(strategy.backbone, parts, context, shared=strategy.frozen)
    torch.manual_seed(context.seed)
    return read_stages(strategy, start)


def _train_within_memory(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    on_epoch: EpochCallback | None,
    teacher: Teacher | None,
) -> tuple[TransferModel, int]:
    """The trained model, and the micro-batches that each step was cut into for the memory.

    A device that runs out of memory gets half as many images at once, from the start again.
    """
    while True:
        backbone = _start(strategy, parts, context)
        try:
            model = _train_and_finish(strategy, parts, context, backbone, on_epoch, teacher)
            return model, context.micro_batches
        except torch.OutOfMemoryError:
            more = 2 * context.micro_batches
            if 2 * more > strategy.optimization.batch_size:
                raise
        del backbone
        context = replace(context, micro_batches=more)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def _train_and_finish(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    backbone: StagedModel,
    on_epoch: EpochCallback | None,
    teacher: Teacher | None,
) -> TransferModel:
    """Gradient training, with the alignment's `finish` before or after it."""
    alignment = strategy.alignment
    if alignment.finishes_first:
        finish_backbone(alignment, backbone, parts.adapting, context)
    model = train(strategy, parts, context, backbone, on_epoch, teacher)
    if not alignment.finishes_first:
        finish_backbone(alignment, model.backbone, parts.adapting, context)
    return model


def shared_prefix(
    strategy: Strategy, context: FitContext, model: TransferModel
) -> FrozenPrefix | None:
    """The stages that stayed as other fits leave them too, so that activations serve them all.

    What an alignment makes of the trained backbone, or of the whole model, nobody else has.
    """
    alignment = strategy.alignment
    changes_trained = adapts_backbone(alignment) and not alignment.finishes_first
    if changes_trained or adapts_model(alignment):
        return None
    return frozen_prefix(strategy, model.backbone, context)
