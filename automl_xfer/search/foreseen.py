"""Foreseen: seconds of a trial from the measured speed of its backbone's stages alone."""

from itertools import product

import numpy as np

from automl_xfer.components import (
    AlignmentMethod,
    AugmentationPolicy,
    FreezingPolicy,
    ParameterInfo,
    Strategy,
)
from automl_xfer.data.image_set import ImageSet
from automl_xfer.search.features_read import Reading, readings
from automl_xfer.search.plan import training_parts
from automl_xfer.search.session import Session
from automl_xfer.transfer.adapting import adapts_model
from automl_xfer.transfer.finishing import (
    MOST_IMAGES,
    adapts_backbone,
)
from automl_xfer.transfer.frozen_features import MIRROR_LIMIT
from automl_xfer.transfer.frozen_prefix import varies_one_image_at_a_time
from automl_xfer.transfer.gradient import reads_target
from automl_xfer.transfer.head_fit import domains_used
from automl_xfer.transfer.stage_cache import training_sizes, training_views

_STEP = 4.0
"""A training step costs about four forward passes of its images: the way back costs three."""

_READING = 0.75
"""Features are read with batch norms folded away, which the measured forward pass has not."""

_KINDS = tuple(product((False, True), repeat=2))


def foreseen_seconds(session: Session, strategy: Strategy) -> float:
    """Seconds of all folds from the measured speed of the backbone alone; 0 if it is not known.

    Frozen features are paid for by the first trial that needs them; later ones count nothing.
    """
    parts = strategy.backbone.parts
    stages = [session.stage_seconds[part] for part in parts if part in session.stage_seconds]
    if len(stages) < len(parts):
        return 0.0
    speeds = [sum(seconds) for seconds in stages]
    speed = sum(speeds)
    adapting = speed * _images_adapting(session, strategy)
    if strategy.frozen:
        asked = Reading.of(session, strategy)
        done = [each for each in readings(session) if each.kind == asked.kind]
        known = [frozenset[str]().union(*(d.sets for d in done if p in d.backbones)) for p in parts]
        read = [_images_read(session, strategy.alignment, asked.sets, each) for each in known]
        return adapting + _READING * float(np.dot(speeds, read))
    training = _training_seconds(session, strategy, stages[0])
    training += speed * _images_predicted(session)
    return (adapting + training) * (2 if _tries_pseudo_target(session) else 1)


def _training_seconds(session: Session, strategy: Strategy, stages: tuple[float, ...]) -> float:
    """Seconds of the gradient steps over all folds; `stages` are those of one forward pass.

    Stages that never train run once for each view of each image where they are cached.
    """
    epochs = strategy.optimization.epochs
    boundary = _boundary(strategy.freezing, len(stages), epochs)
    below, above = sum(stages[:boundary]), sum(stages[boundary:])
    drawn = epochs * _images_per_epoch(session, strategy)
    cached = min(drawn, _images_cached(session, strategy, drawn))
    whole = session.prepared.data.image_size
    sides = np.array(training_sizes(strategy.augmentation, whole, epochs))
    return float(np.mean((sides / whole) ** 2)) * (_STEP * above * drawn + below * cached)


def _images_cached(session: Session, strategy: Strategy, drawn: int) -> float:
    """Forward passes through the frozen stages where their activations are kept."""
    data, epochs = session.prepared.data, strategy.optimization.epochs
    if not varies_one_image_at_a_time(strategy):
        return drawn
    views = len({*training_views(strategy.augmentation, data.image_size, epochs)})
    sizes = [views * len(images) for images in _sets_trained_on(session, strategy)]
    of_each = drawn / max(1, len(sizes))
    one_fold = of_each / len(session.plan.folds)
    return sum(size if 2 * one_fold >= size else of_each for size in sizes)


def _sets_trained_on(session: Session, strategy: Strategy) -> list[ImageSet]:
    """The image sets that gradient steps draw from."""
    data = session.prepared.data
    use_source, use_target = domains_used(strategy.alignment, training_parts(data))
    sets = [data.source if use_source else None, data.target if use_target else None]
    sets += [data.unlabelled if reads_target(strategy.alignment) else None]
    return [images for images in sets if images is not None]


def _boundary(policy: FreezingPolicy, n_stages: int, epochs: int) -> int:
    """The number of first stages that no epoch trains, whatever their parameters are called."""
    if type(policy).wrap is not FreezingPolicy.wrap:
        return 0
    for stage in range(n_stages):
        infos = [ParameterInfo(f"stages.{stage}", stage, n_stages, *kind) for kind in _KINDS]
        if any(policy.is_trainable(info, epoch) for info in infos for epoch in range(epochs)):
            return stage
    return n_stages


def _images_per_epoch(session: Session, strategy: Strategy) -> int:
    """Forward passes of training images in one epoch of every fold."""
    data = session.prepared.data
    parts = training_parts(data)
    use_source, use_target = domains_used(strategy.alignment, parts)
    per_step = int(use_source) + int(use_target)
    reads_source = parts.source is not None or "source" not in strategy.alignment.requires
    if type(strategy.alignment).build is not AlignmentMethod.build and reads_source:
        views = 2 if strategy.alignment.two_views else 1
        per_step += views  # the unlabelled target batch of an alignment loss
    if type(strategy.augmentation).perturb is not AugmentationPolicy.perturb:
        per_step *= 2  # the gradient by the images
    images = sum(len(train) for train, _ in session.plan.folds)
    if not use_target and parts.target is not None and parts.source is not None:
        images = len(session.plan.folds) * len(parts.source)  # an epoch passes over the source
    return per_step * images


def _images_predicted(session: Session) -> int:
    """Forward passes of a trained backbone over the images that a trial predicts."""
    data = session.prepared.data
    held_out = sum(len(rows) for _, rows in session.plan.folds)
    return held_out + (len(data.unlabelled or ()) if data.target is None else 0)


def _tries_pseudo_target(session: Session) -> bool:
    """Whether each trial fits once more with one source as if it were the target."""
    return session.prepared.data.target is None and len(session.prepared.data.source_names) > 1


def _images_adapting(session: Session, strategy: Strategy) -> float:
    """Forward passes that changing the fitted model on the target costs, over all folds.

    A pass with gradient for each of the method's `epochs`, one for its own labels and statistics,
    and one to predict.
    """
    if not adapts_model(strategy.alignment):
        return 0.0
    data = session.prepared.data
    images = len(data.target or ()) + len(data.unlabelled or ())
    epochs = getattr(strategy.alignment, "epochs", 1)
    return len(session.plan.folds) * images * ((_STEP + 1) * epochs + 1)


def _images_read(
    session: Session, method: AlignmentMethod, asked: frozenset[str], known: frozenset[str]
) -> float:
    """Forward passes of one member of a backbone that reading features of these sets costs it.

    `known` are the sets that were read. Where the backbone is adapted first, statistics are taken
    at half the speed.
    """
    data = session.prepared.data
    sizes = {name: _passes(getattr(data, name)) for name in asked - known}
    if not adapts_backbone(method):
        return sum(sizes.values())
    parts = training_parts(data)
    adapting = sum(map(len, parts.adapting))
    of_source = sizes.pop("source", 0)
    of_target = sum(sizes.values()) + (0 if known else 2 * min(adapting, MOST_IMAGES))
    if method.adapts_each_domain:
        of_source += 2 * min(len(data.source or ()), MOST_IMAGES) if of_source else 0
    return of_source + of_target


def _passes(images: ImageSet | None) -> int:
    """Forward passes that reading a set takes: the mirror images of a small one are read too."""
    n = len(images or ())
    return 2 * n if n <= MIRROR_LIMIT else n
