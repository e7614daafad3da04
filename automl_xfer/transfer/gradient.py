"""Gradient training of a strategy: one loop for fine-tuning with or without alignment losses."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, StagedModel, Strategy
from automl_xfer.components.optimization import ParameterGroup
from automl_xfer.errors import AutomlXferError
from automl_xfer.transfer.averaging import StartingWeights
from automl_xfer.transfer.compiling import LONG_FIT, compiled
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.device import autocast
from automl_xfer.transfer.frozen_features import FrozenFeatures, head_for
from automl_xfer.transfer.frozen_prefix import cached_readers, frozen_prefix
from automl_xfer.transfer.head_fit import (
    Samples,
    domains_used,
    fit_samples,
    labelled_samples,
    sample_weights,
    weighs_samples,
)
from automl_xfer.transfer.loader import BatchLoader, split_batch
from automl_xfer.transfer.model import (
    TransferModel,
    apply_freezing,
    parameter_infos,
)
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.stage_cache import training_sizes
from automl_xfer.transfer.training_step import Training, training_loss
from automl_xfer.transfer.weighting import class_weights

EpochCallback = Callable[[int, TransferModel], None]
Teacher = Callable[[Part, str], NDArray[np.float32]]
"""Class probabilities (N, K) of the images of a part of one domain, `source` or `target`."""


class NonFiniteLossError(AutomlXferError):
    """The training loss became NaN or infinite."""


def train(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    backbone: StagedModel,
    on_epoch: EpochCallback | None = None,
    teacher: Teacher | None = None,
) -> TransferModel:
    """Train backbone and head by gradient steps; `backbone` is changed in place.

    An epoch is one pass over the labelled target images, or over the source images where the
    target has no labels. Batch-norm statistics of pretrained weights stay as they are: batches
    of few-label data are too small to estimate them. `teacher` gives (N, K) class probabilities
    of a part's images, to a regularizer that distils.
    """
    device = context.device
    start = _Start(strategy, parts, context, backbone)
    head = start.head()
    domains = _labelled_domains(strategy, parts)
    weights = start.weights()
    model = TransferModel(backbone, head).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    apply_freezing(model.backbone, strategy.freezing, 0)  # before a regularizer looks at it
    training = _prepare(strategy, parts, model, context, start)
    before = StartingWeights.of(model, strategy.freezing.share_of_start())
    if strategy.regularizer.distils and teacher is not None:
        for name, part in domains.items():
            training.teachers[name] = torch.from_numpy(teacher(part, name)).to(device)
    strategy.freezing.wrap(model.backbone)
    optimization = strategy.optimization
    loader = BatchLoader(
        domains,
        parts.unlabelled if reads_target(strategy.alignment) else (),
        optimization.batch_size,
        context.seed,
        device,
        weights={name: each for name, each in weights.items() if name in domains},
        least_target=strategy.alignment.least_target_batch(parts.num_classes),
    )
    prefix = frozen_prefix(strategy, model.backbone, context)
    if prefix is not None:
        loader.readers = cached_readers(strategy, prefix, loader)
    optimizer: torch.optim.Optimizer | None = None
    trained: frozenset[str] = frozenset()
    boundary = -1
    if context.compiler is not None and optimization.epochs * loader.steps >= LONG_FIT:
        training = replace(training, run=compiled(model.backbone, context.compiler))
    sizes = training_sizes(strategy.augmentation, training.image_size, optimization.epochs)
    for epoch in range(optimization.epochs):
        first = apply_freezing(model.backbone, strategy.freezing, epoch)
        now = frozenset(name for name, p in model.named_parameters() if p.requires_grad)
        if optimizer is None or now != trained:
            optimizer, trained = _make_optimizer(training), now
        if first != boundary or not (model.training and model.backbone.training):  # predicted with
            _set_modes(model, first, strategy)
            boundary = first
        training = _at_size(training, sizes[epoch])
        _run_epoch(training, loader, optimizer, epoch, first)
        if on_epoch is not None:
            with before.mixed(model):
                on_epoch(epoch, model)
    strategy.freezing.unwrap(model.backbone)
    before.mix_into(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


@dataclass(frozen=True)
class _Start:
    """What the training takes from the features before the first step, computed where asked."""

    strategy: Strategy
    parts: TrainingParts
    context: FitContext
    backbone: StagedModel

    @cached_property
    def features(self) -> FrozenFeatures:
        # A copy: the training changes the backbone, and what is read later must still be its start.
        return FrozenFeatures(self.context.cache, deepcopy(self.backbone), self.context.device)

    def samples(self) -> list[Samples]:
        """Labelled features of the domains that train."""
        alignment, weights = self.strategy.alignment, self.source_weights
        return labelled_samples(alignment, self.parts, self.features, self.features, weights)

    @cached_property
    def source_weights(self) -> Tensor | None:
        """(N_s,) weights of the source images."""
        if self.parts.source is None or not weighs_samples(self.strategy.alignment, self.parts):
            return None
        return sample_weights(self.strategy.alignment, self.parts, self.features, self.features)

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """By which weights a domain's images are drawn, where not all count alike."""
        weights = self.source_weights
        return {} if weights is None else {"source": weights.double().numpy()}

    def head(self) -> nn.Module:
        """The head that training starts from: fitted on frozen features (LP-FT) or fresh."""
        made = head_for(self.strategy, self.backbone)
        if not self.strategy.freezing.head_first:
            return made.build(self.backbone.feature_dim, self.parts.num_classes)
        balance = self.strategy.optimization.balance_classes
        head, _ = fit_samples(made, self.samples(), self.parts.num_classes, balance=balance)
        for parameter in head.parameters():
            parameter.requires_grad_(True)
        return head

    def labelled(self) -> tuple[Tensor, Tensor]:
        """Starting features (N, D) and labels (N,) of the images to train on, on the device."""
        samples = self.samples()
        features = torch.cat([each.features for each in samples])
        labels = torch.cat([each.labels for each in samples])
        return features.to(self.context.device), labels.to(self.context.device)


def reads_target(alignment: AlignmentMethod) -> bool:
    """Whether gradient steps look at unlabelled target images."""
    method, base = type(alignment), AlignmentMethod
    return method.build is not base.build or method.transform_source is not base.transform_source


def _labelled_domains(strategy: Strategy, parts: TrainingParts) -> dict[str, Part]:
    use_source, use_target = domains_used(strategy.alignment, parts)
    domains: dict[str, Part] = {}
    if use_target and parts.target is not None:
        domains["target"] = parts.target
    if use_source and parts.source is not None:
        domains["source"] = parts.source
    return domains


def _prepare(
    strategy: Strategy,
    parts: TrainingParts,
    model: TransferModel,
    context: FitContext,
    start: _Start,
) -> Training:
    loss = None
    if parts.source is not None or "source" not in strategy.alignment.requires:
        loss = strategy.alignment.build(model.backbone.feature_dim, parts.num_classes)
    weights = {}
    if strategy.optimization.balance_classes:
        for name, part in _labelled_domains(strategy, parts).items():
            assert part.labels is not None
            drawn = start.weights().get(name)
            balanced = class_weights(part.labels, parts.num_classes, drawn)
            weights[name] = torch.from_numpy(balanced)
    images = (parts.target or parts.source or parts.unlabelled[0]).image_set.images
    size = int(images.shape[1])
    regularize = strategy.regularizer.build(model.backbone, model.head, start.labelled)
    if isinstance(regularize, nn.Module):
        regularize.to(context.device)
    return Training(
        strategy=strategy,
        model=model,
        device=context.device,
        generator=torch.Generator().manual_seed(context.seed),
        image_size=size,
        augment=strategy.augmentation.transform(size),
        strong=strategy.augmentation.strong(size) if strategy.alignment.two_views else None,
        regularize=regularize,
        alignment_loss=loss.to(context.device) if loss is not None else None,
        class_weights={name: value.to(context.device) for name, value in weights.items()},
        num_classes=parts.num_classes,
        run=model.backbone,
        micro_batches=context.micro_batches,
    )


def _at_size(training: Training, image_size: int) -> Training:
    """The training with images of another side in pixels from here on."""
    if image_size == training.image_size:
        return training
    policy = training.strategy.augmentation
    return replace(
        training,
        image_size=image_size,
        augment=policy.transform(image_size),
        strong=policy.strong(image_size) if training.strong is not None else None,
    )


def _make_optimizer(training: Training) -> torch.optim.Optimizer:
    """Head and alignment modules at the full rate, the backbone stage by stage below it."""
    optimization, model = training.strategy.optimization, training.model
    own = [p for p in model.head.parameters() if p.requires_grad]
    for loss in (training.alignment_loss, training.regularize):
        if isinstance(loss, nn.Module):
            own += [p for p in loss.parameters() if p.requires_grad]
    groups = [ParameterGroup(own, 1.0)] if own else []
    by_stage: dict[int, list[nn.Parameter]] = {}
    for parameter, info in parameter_infos(model.backbone).values():
        if parameter.requires_grad:
            by_stage.setdefault(info.n_stages - 1 - info.stage, []).append(parameter)
    for depth, parameters in sorted(by_stage.items()):
        scale = optimization.backbone_scale * optimization.layer_decay**depth
        groups.append(ParameterGroup(parameters, scale))
    return optimization.build(groups)


def _set_modes(model: TransferModel, first: int, strategy: Strategy) -> None:
    """Train mode above the freeze boundary; pretrained batch norms keep their statistics."""
    model.train()
    for stage in model.backbone.stages[:first]:
        stage.eval()
    if strategy.backbone.initialisation != "random":
        for module in model.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _run_epoch(
    training: Training,
    loader: BatchLoader,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    first: int,
) -> None:
    optimization = training.strategy.optimization
    rates = [group["lr"] for group in optimizer.param_groups]
    total = torch.zeros((), device=training.device)
    for step, (labelled, target) in enumerate(loader.epoch(epoch)):
        progress = (epoch + step / loader.steps) / optimization.epochs
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * optimization.schedule(progress)
        optimizer.zero_grad(set_to_none=True)
        for part, seen, share in split_batch(
            labelled, target, training.micro_batches, loader.least_target
        ):
            with autocast(training.device, training=True):
                loss = share * training_loss(training, part, seen, progress, first)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        optimizer.step()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    if not torch.isfinite(total):
        raise NonFiniteLossError(f"the training loss was not finite in epoch {epoch + 1}")
