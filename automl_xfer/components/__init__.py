"""The public surface for plugin authors: one abstract class per axis and the parameter fields."""

from automl_xfer.components.alignment import AlignedFeatures, AlignmentMethod
from automl_xfer.components.augmentation import AugmentationPolicy
from automl_xfer.components.backbone import Backbone, BackboneRequest, FusedModel, StagedModel
from automl_xfer.components.base import Choice, Component, Float, Int
from automl_xfer.components.batch import Batch
from automl_xfer.components.freezing import FreezingPolicy, ParameterInfo
from automl_xfer.components.head import Head
from automl_xfer.components.optimization import Optimization, ParameterGroup
from automl_xfer.components.regularizer import Regularizer
from automl_xfer.components.sources import SourceDomain, SourceSelection
from automl_xfer.components.stage_features import Readings, StageFeatures
from automl_xfer.components.strategy import AXES, Strategy, StrategySketch
from automl_xfer.components.transferability import TransferabilityEstimator
from automl_xfer.components.validator import (
    MixedPredictions,
    PseudoTarget,
    UnlabelledPredictions,
    Validator,
)

__all__ = [
    "AXES",
    "AlignedFeatures",
    "AlignmentMethod",
    "AugmentationPolicy",
    "Backbone",
    "BackboneRequest",
    "Batch",
    "Choice",
    "Component",
    "Float",
    "FreezingPolicy",
    "FusedModel",
    "Head",
    "Int",
    "MixedPredictions",
    "Optimization",
    "ParameterGroup",
    "ParameterInfo",
    "PseudoTarget",
    "Readings",
    "Regularizer",
    "SourceDomain",
    "SourceSelection",
    "StageFeatures",
    "StagedModel",
    "Strategy",
    "StrategySketch",
    "TransferabilityEstimator",
    "UnlabelledPredictions",
    "Validator",
]
