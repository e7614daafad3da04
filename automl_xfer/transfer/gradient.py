"""Gradient training of a strategy: one loop for fine-tuning with or without alignment losses."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import Batch, StagedModel, Strategy
from automl_xfer.components.optimization import ParameterGroup
from automl_xfer.errors import AutomlXferError
from automl_xfer.transfer.closed_form import FrozenFeatures, domains_used, fit_head
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.device import autocast
from automl_xfer.transfer.loader import BatchLoader
from automl_xfer.transfer.model import (
    TransferModel,
    apply_freezing,
    parameter_infos,
)
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.weighting import class_weights

EpochCallback = Callable[[int, TransferModel], None]


class NonFiniteLossError(AutomlXferError):
    """The training loss became NaN or infinite."""


@dataclass(frozen=True)
class Training:
    """What every step of one training needs."""

    strategy: Strategy
    model: TransferModel
    device: str
    generator: torch.Generator
    augment: Callable[[Tensor], Tensor]
    regularize: Callable[[Batch], Tensor] | None
    alignment_loss: nn.Module | None
    class_weights: dict[str, Tensor]  # domain -> (K,)
    num_classes: int


def train(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    backbone: StagedModel,
    on_epoch: EpochCallback | None = None,
) -> TransferModel:
    """Train backbone and head by gradient steps; `backbone` is changed in place.

    An epoch is one pass over the labelled target images, or over the source images where the
    target has no labels. Batch-norm statistics of pretrained weights stay as they are: batches
    of few-label data are too small to estimate them.
    """
    device = context.device
    head = _starting_head(strategy, parts, context, backbone)
    model = TransferModel(backbone, head).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    apply_freezing(model.backbone, strategy.freezing, 0)  # before a regularizer looks at it
    training = _prepare(strategy, parts, model, context)
    optimization = strategy.optimization
    domains = _labelled_domains(strategy, parts)
    loader = BatchLoader(domains, parts.unlabelled, optimization.batch_size, context.seed, device)
    optimizer: torch.optim.Optimizer | None = None
    trained: frozenset[str] = frozenset()
    for epoch in range(optimization.epochs):
        first = apply_freezing(model.backbone, strategy.freezing, epoch)
        now = frozenset(name for name, p in model.named_parameters() if p.requires_grad)
        if optimizer is None or now != trained:
            optimizer, trained = _make_optimizer(training), now
        _set_modes(model, first, strategy)
        _run_epoch(training, loader, optimizer, epoch, first)
        if on_epoch is not None:
            on_epoch(epoch, model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def _starting_head(
    strategy: Strategy,
    parts: TrainingParts,
    context: FitContext,
    backbone: StagedModel,
) -> nn.Module:
    """The head that training starts from: fitted on frozen features (LP-FT) or fresh."""
    if not strategy.freezing.head_first:
        return strategy.head.build(backbone.feature_dim, parts.num_classes)
    features = FrozenFeatures(context.cache, backbone, context.device)
    head = fit_head(strategy, parts, features, features)
    for parameter in head.parameters():
        parameter.requires_grad_(True)
    return head


def _labelled_domains(strategy: Strategy, parts: TrainingParts) -> dict[str, Part]:
    use_source, use_target = domains_used(strategy.alignment, parts)
    domains: dict[str, Part] = {}
    if use_target and parts.target is not None:
        domains["target"] = parts.target
    if use_source and parts.source is not None:
        domains["source"] = parts.source
    return domains


def _prepare(
    strategy: Strategy, parts: TrainingParts, model: TransferModel, context: FitContext
) -> Training:
    loss = None
    if parts.source is not None:
        loss = strategy.alignment.build(model.backbone.feature_dim, parts.num_classes)
    weights = {}
    if strategy.optimization.balance_classes:
        for name, part in _labelled_domains(strategy, parts).items():
            assert part.labels is not None
            weights[name] = torch.from_numpy(class_weights(part.labels, parts.num_classes))
    images = (parts.target or parts.source or parts.unlabelled[0]).image_set.images
    return Training(
        strategy=strategy,
        model=model,
        device=context.device,
        generator=torch.Generator().manual_seed(context.seed),
        augment=strategy.augmentation.transform(int(images.shape[1])),
        regularize=strategy.regularizer.build(model.backbone, model.head),
        alignment_loss=loss.to(context.device) if loss is not None else None,
        class_weights={name: value.to(context.device) for name, value in weights.items()},
        num_classes=parts.num_classes,
    )


def _make_optimizer(training: Training) -> torch.optim.Optimizer:
    """Head and alignment modules at the full rate, the backbone stage by stage below it."""
    optimization, model = training.strategy.optimization, training.model
    own = [p for p in model.head.parameters() if p.requires_grad]
    if training.alignment_loss is not None:
        own += [p for p in training.alignment_loss.parameters() if p.requires_grad]
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
    for step, (labelled, target) in enumerate(loader.epoch()):
        progress = (epoch + step / loader.steps) / optimization.epochs
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * optimization.schedule(progress)
        with autocast(training.device, training=True):
            loss = _loss(training, labelled, target, progress, first)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    if not torch.isfinite(total):
        raise NonFiniteLossError(f"the training loss was not finite in epoch {epoch + 1}")


def _loss(
    training: Training,
    labelled: dict[str, tuple[Tensor, Tensor]],
    target: Tensor | None,
    progress: float,
    first: int,
) -> Tensor:
    """Cross-entropy averaged over the labelled domains, plus regularizer and alignment terms."""
    batches: dict[str, Batch] = {}
    losses: list[Tensor] = []
    for name, (pixels, labels) in labelled.items():
        if name == "source" and target is not None:
            pixels = training.strategy.alignment.transform_source(pixels, target)
        soft = nn.functional.one_hot(labels, training.num_classes).float()
        images = training.model.backbone.normalise(training.augment(pixels))
        images, soft = training.strategy.augmentation.mix(images, soft, training.generator)
        batch = batches[name] = _forward(training.model, images, soft, first)
        losses.append(_cross_entropy(batch, training.class_weights.get(name)))
        if training.regularize is not None:
            losses[-1] = losses[-1] + training.regularize(batch)
    loss = torch.stack(losses).mean()
    if training.alignment_loss is not None and target is not None and "source" in batches:
        images = training.model.backbone.normalise(training.augment(target))
        unlabelled = _forward(training.model, images, None, first)
        aligned: Tensor = training.alignment_loss(batches["source"], unlabelled, progress)
        loss = loss + aligned
    return loss


def _forward(model: TransferModel, images: Tensor, labels: Tensor | None, first: int) -> Batch:
    """Forward pass whose frozen stages below `first` keep no gradient."""
    with torch.no_grad():
        activations = model.backbone(images, 0, first)
    features = model.feature_map(model.backbone(activations, first))
    return Batch(features, model.head(features), labels)


def _cross_entropy(batch: Batch, weights: Tensor | None) -> Tensor:
    assert batch.labels is not None
    losses = -(batch.labels * batch.logits.float().log_softmax(1)).sum(1)
    if weights is not None:
        losses = losses * (batch.labels @ weights)
    return losses.mean()
