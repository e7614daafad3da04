"""When a training reads its frozen stages from the cache."""

import numpy as np

from automl_xfer.components import (
    AlignmentMethod,
    AugmentationPolicy,
    FreezingPolicy,
    StagedModel,
    StageFeatures,
    Strategy,
)
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.loader import ActivationReader, BatchLoader, Reader
from automl_xfer.transfer.model import parameter_infos
from automl_xfer.transfer.parts import Part
from automl_xfer.transfer.stage_cache import FrozenPrefix, training_views


def freeze_boundary(backbone: StagedModel, policy: FreezingPolicy, epochs: int) -> int:
    """The number of first stages that no epoch trains and whose inside nothing reads.

    0 where the policy adds modules of its own.
    """
    if type(policy).wrap is not FreezingPolicy.wrap:
        return 0
    trained = [
        info.stage
        for _, info in parameter_infos(backbone).values()
        if any(policy.is_trainable(info, epoch) for epoch in range(epochs))
    ]
    boundary = min(trained, default=len(backbone.stages))
    return min(boundary, backbone.first_read) if isinstance(backbone, StageFeatures) else boundary


def frozen_prefix(
    strategy: Strategy, backbone: StagedModel, context: FitContext
) -> FrozenPrefix | None:
    """The stages of this backbone that the strategy never changes, where they are to be cached."""
    epochs = strategy.optimization.epochs
    boundary = freeze_boundary(backbone, strategy.freezing, epochs)
    if boundary == 0 or context.stage_dtype is None:
        return None
    return FrozenPrefix(context.cache, backbone, boundary, context.device, context.stage_dtype)


def cached_readers(
    strategy: Strategy, prefix: FrozenPrefix, loader: BatchLoader
) -> dict[str, Reader]:
    """Readers of activations for those domains of the loader where they pay."""
    if not varies_one_image_at_a_time(strategy):
        return {}
    parts: dict[str, tuple[Part, ...]] = {}
    parts |= {name: (part,) for name, part in loader.domains.items()}
    if loader.unlabelled:
        parts["unlabelled"] = loader.unlabelled
    readers: dict[str, Reader] = {}
    epochs = strategy.optimization.epochs
    for name, several in parts.items():
        size = int(several[0].image_set.images.shape[1])
        views = training_views(strategy.augmentation, size, epochs)
        draws = epochs * loader.draws(name)
        shares = np.array([len(part) for part in several]) / sum(len(part) for part in several)
        if all(
            prefix.pays(part.image_set, len(set(views)), int(share * draws))
            for part, share in zip(several, shares, strict=True)
        ):
            readers[name] = ActivationReader(prefix, views)
    return readers


def varies_one_image_at_a_time(strategy: Strategy) -> bool:
    """Whether what the frozen stages are given depends on one image and its own draw alone."""
    policy, method = type(strategy.augmentation), type(strategy.alignment)
    base = AugmentationPolicy
    return (
        policy.mix is base.mix
        and policy.perturb is base.perturb
        and policy.between_stages is base.between_stages
        and method.transform_source is AlignmentMethod.transform_source
        and not strategy.alignment.two_views
    )
