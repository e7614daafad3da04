"""The first-party components, registered through the entry point that any plugin uses.

Imports stand inside the hooks, so that importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_xfer import hookimpl

if TYPE_CHECKING:
    from automl_xfer.components import (
        AlignmentMethod,
        AugmentationPolicy,
        Backbone,
        FreezingPolicy,
        Head,
        Optimization,
        Regularizer,
        StrategySketch,
        Validator,
    )


@hookimpl
def register_backbones() -> Sequence[type[Backbone]]:
    from automl_xfer_plugins.backbones.fused import FusedBackbone
    from automl_xfer_plugins.backbones.scratch import ScratchBackbone
    from automl_xfer_plugins.backbones.source_pretrained import SourcePretrainedBackbone
    from automl_xfer_plugins.backbones.timm_backbone import TimmBackbone

    return [TimmBackbone, FusedBackbone, ScratchBackbone, SourcePretrainedBackbone]


@hookimpl
def register_freezing_policies() -> Sequence[type[FreezingPolicy]]:
    from automl_xfer_plugins.freezing.frozen_depth import FrozenDepth
    from automl_xfer_plugins.freezing.full import FullFineTuning
    from automl_xfer_plugins.freezing.linear_probe import LinearProbe
    from automl_xfer_plugins.freezing.lp_ft import LinearProbeThenFineTune

    return [LinearProbe, FrozenDepth, FullFineTuning, LinearProbeThenFineTune]


@hookimpl
def register_alignment_methods() -> Sequence[type[AlignmentMethod]]:
    from automl_xfer_plugins.alignment.adabn import AdaBN
    from automl_xfer_plugins.alignment.coral import ClosedFormCoral
    from automl_xfer_plugins.alignment.dann import DANN
    from automl_xfer_plugins.alignment.deep_coral import DeepCoral
    from automl_xfer_plugins.alignment.joint import JointTraining
    from automl_xfer_plugins.alignment.linear_ot import LinearOptimalTransport
    from automl_xfer_plugins.alignment.mk_mmd import MultiKernelMMD
    from automl_xfer_plugins.alignment.none import NoAlignment
    from automl_xfer_plugins.alignment.source_only import SourceOnly
    from automl_xfer_plugins.alignment.subspace import SubspaceAlignment
    from automl_xfer_plugins.alignment.target_mixture import AdaptedTargetMixture, TargetMixture

    return [
        NoAlignment,
        SourceOnly,
        JointTraining,
        ClosedFormCoral,
        SubspaceAlignment,
        LinearOptimalTransport,
        DeepCoral,
        MultiKernelMMD,
        DANN,
        AdaBN,
        TargetMixture,
        AdaptedTargetMixture,
    ]


@hookimpl
def register_augmentation_policies() -> Sequence[type[AugmentationPolicy]]:
    from automl_xfer_plugins.augmentation.flip_crop import FlipCrop
    from automl_xfer_plugins.augmentation.mixup_cutmix import MixupCutMix
    from automl_xfer_plugins.augmentation.none import NoAugmentation
    from automl_xfer_plugins.augmentation.rand_augment import RandAugment
    from automl_xfer_plugins.augmentation.trivial_augment import TrivialAugment

    return [NoAugmentation, FlipCrop, TrivialAugment, RandAugment, MixupCutMix]


@hookimpl
def register_heads() -> Sequence[type[Head]]:
    from automl_xfer_plugins.heads.linear import LinearHead
    from automl_xfer_plugins.heads.logistic_regression import LogisticRegressionHead
    from automl_xfer_plugins.heads.nearest_class_mean import NearestClassMean

    return [LinearHead, LogisticRegressionHead, NearestClassMean]


@hookimpl
def register_regularizers() -> Sequence[type[Regularizer]]:
    from automl_xfer_plugins.regularizers.l2_sp import L2SP
    from automl_xfer_plugins.regularizers.label_smoothing import LabelSmoothing
    from automl_xfer_plugins.regularizers.none import NoRegularizer

    return [NoRegularizer, LabelSmoothing, L2SP]


@hookimpl
def register_optimizations() -> Sequence[type[Optimization]]:
    from automl_xfer_plugins.optimization.adamw import AdamW
    from automl_xfer_plugins.optimization.closed_form import ClosedForm
    from automl_xfer_plugins.optimization.sgd import SGD

    return [ClosedForm, AdamW, SGD]


@hookimpl
def register_validators() -> Sequence[type[Validator]]:
    from automl_xfer_plugins.validators.agreement import PoolAgreement
    from automl_xfer_plugins.validators.infomax import InfoMax

    return [InfoMax, PoolAgreement]


@hookimpl
def register_strategies() -> Sequence[StrategySketch]:
    from automl_xfer_plugins.portfolio import BASELINES, PORTFOLIO

    return [*BASELINES, *PORTFOLIO]
