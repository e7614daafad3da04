"""One step of gradient training: the loss of a batch of each domain."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from automl_xfer.components import AugmentationPolicy, Batch, StageFeatures, Strategy
from automl_xfer.transfer.loader import Images, LabelledBatch
from automl_xfer.transfer.model import TransferModel


@dataclass(frozen=True)
class Training:
    """What every step of one training needs."""

    strategy: Strategy
    model: TransferModel
    device: str
    generator: torch.Generator
    image_size: int  # in pixels; of what `augment` and `strong` make
    augment: Callable[[Tensor], Tensor]
    strong: Callable[[Tensor], Tensor] | None
    regularize: Callable[[Batch], Tensor] | None
    alignment_loss: nn.Module | None
    class_weights: dict[str, Tensor]  # domain -> (K,)
    num_classes: int
    run: Callable[..., Tensor]  # the backbone, or what was compiled of it
    micro_batches: int = 1
    teachers: dict[str, Tensor] = field(default_factory=dict)  # domain -> (N, K) probabilities


def training_loss(
    training: Training,
    labelled: dict[str, LabelledBatch],
    target: Images | None,
    progress: float,
    first: int,
) -> Tensor:
    """Weighted cross-entropy over the labelled domains, plus regularizer and alignment terms.

    `target` are unlabelled images; stages below `first` are frozen.
    """
    of_source, of_target = training.strategy.alignment.task_weights(progress)
    weights = {"source": of_source, "target": of_target}
    if not any(weights[name] for name in labelled):
        weights = dict.fromkeys(weights, 1.0)
    batches: dict[str, Batch] = {}
    losses: list[Tensor] = []
    for name, drawn in labelled.items():
        if weights[name]:
            batches[name] = _labelled_batch(training, name, drawn, target, first)
            losses.append(weights[name] * _domain_loss(training, name, batches[name]))
    loss = torch.stack(losses).sum() / sum(weights[name] for name in batches)
    aligned = _alignment_batch(training, batches)
    if training.alignment_loss is not None and target is not None and aligned is not None:
        unlabelled = _target_batch(training, target, first)
        term: Tensor = training.alignment_loss(aligned, unlabelled, progress)
        loss = loss + term
    return loss


def _alignment_batch(training: Training, batches: dict[str, Batch]) -> Batch | None:
    """The source's batch; where the method needs no source, the labelled target's may stand in."""
    if "source" in batches or "source" in training.strategy.alignment.requires:
        return batches.get("source")
    return batches.get("target")


def _labelled_batch(
    training: Training, name: str, drawn: LabelledBatch, target: Images | None, first: int
) -> Batch:
    """One domain's batch, varied where it is not yet, and passed through the model."""
    soft = nn.functional.one_hot(drawn.labels, training.num_classes).float()
    teacher = training.teachers.get(name)
    taught = None if teacher is None else teacher[drawn.rows]
    if drawn.images.start:
        return _forward(training, drawn.images.values, first, soft, taught, drawn.images.start)
    pixels, policy = drawn.images.values, training.strategy.augmentation
    if name == "source" and target is not None:
        pixels = training.strategy.alignment.transform_source(pixels, target.values)
    images = training.model.backbone.normalise(training.augment(pixels))
    images, soft = policy.mix(images, soft, training.generator)
    if type(policy).perturb is not AugmentationPolicy.perturb:
        images = policy.perturb(images, lambda x: _plain_loss(training, x, soft)).detach()
    return _forward(training, images, first, soft, taught)


def _plain_loss(training: Training, images: Tensor, soft: Tensor) -> Tensor:
    """Mean cross-entropy, for the gradient by the images."""
    loss: Tensor = -(soft * training.model(images).float().log_softmax(1)).sum(1).mean()
    return loss


def _domain_loss(training: Training, name: str, batch: Batch) -> Tensor:
    assert batch.labels is not None
    losses = -(batch.labels * batch.logits.float().log_softmax(1)).sum(1)
    of_classes = training.class_weights.get(name)
    if of_classes is not None:
        losses = losses * (batch.labels @ of_classes)
    loss = losses.mean()
    return loss if training.regularize is None else loss + training.regularize(batch)


def _target_batch(training: Training, target: Images, first: int) -> Batch:
    """The unlabelled batch, with its strong view where the method asks for one."""
    if target.start:
        return _forward(training, target.values, first, start=target.start)
    normalise = training.model.backbone.normalise
    strong = None
    if training.strong is not None:
        strong = _forward(training, normalise(training.strong(target.values)), first)
    weak = _forward(training, normalise(training.augment(target.values)), first)
    return Batch(weak.features, weak.logits, strong=strong)


def _forward(
    training: Training,
    images: Tensor,
    first: int,
    labels: Tensor | None = None,
    teacher: Tensor | None = None,
    start: int = 0,
) -> Batch:
    """Forward pass from stage `start` on whose frozen stages below `first` keep no gradient."""
    model, policy = training.model, training.strategy.augmentation
    backbone = model.backbone
    if isinstance(backbone, StageFeatures):
        first = min(first, backbone.first_read)
    elif type(policy).between_stages is not AugmentationPolicy.between_stages:
        for stage in range(len(backbone.stages)):
            images = policy.between_stages(
                backbone(images, stage, stage + 1), stage, len(backbone.stages)
            )
        features = model.feature_map(backbone.pool(images))
        return Batch(features, model.head(features), labels, teacher)
    with torch.no_grad():
        activations = training.run(images, start, first)
    features = model.feature_map(training.run(activations, first))
    return Batch(features, model.head(features), labels, teacher)
