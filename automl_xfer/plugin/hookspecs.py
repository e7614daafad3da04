"""Every hook of automl-xfer. A plugin implements any of them, marked `@automl_xfer.hookimpl`.

Each `register_*` hook returns classes and does nothing else. Import heavy modules inside the hook
function, so that `automl-xfer --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from automl_xfer.components import (
        AlignmentMethod,
        AugmentationPolicy,
        Backbone,
        FreezingPolicy,
        Head,
        Optimization,
        Regularizer,
        SourceSelection,
        StrategySketch,
        TransferabilityEstimator,
        Validator,
    )
    from automl_xfer.study.records import TrialRecord

hookspec = pluggy.HookspecMarker("automl_xfer")


@hookspec
def register_backbones() -> Sequence[type[Backbone]]:  # type: ignore[empty-body]
    """Classes that turn images into features."""


@hookspec
def register_freezing_policies() -> Sequence[type[FreezingPolicy]]:  # type: ignore[empty-body]
    """Classes that say which backbone parameters train, and when."""


@hookspec
def register_alignment_methods() -> Sequence[type[AlignmentMethod]]:  # type: ignore[empty-body]
    """Classes that do something about the difference between source and target."""


@hookspec
def register_sources() -> Sequence[type[SourceSelection]]:  # type: ignore[empty-body]
    """Classes that say which source domains to learn from, and how much each counts."""


@hookspec
def register_augmentation_policies(  # type: ignore[empty-body]
) -> Sequence[type[AugmentationPolicy]]:
    """Classes that vary training images."""


@hookspec
def register_heads() -> Sequence[type[Head]]:  # type: ignore[empty-body]
    """Classes that turn features into class scores."""


@hookspec
def register_regularizers() -> Sequence[type[Regularizer]]:  # type: ignore[empty-body]
    """Classes that add a term to the training loss."""


@hookspec
def register_optimizations() -> Sequence[type[Optimization]]:  # type: ignore[empty-body]
    """Classes that make the gradient steps: optimizer, learning rates, length, class weights."""


@hookspec
def register_transferability_estimators(  # type: ignore[empty-body]
) -> Sequence[type[TransferabilityEstimator]]:
    """Classes that score a backbone by its frozen features, before anything trains."""


@hookspec
def register_validators() -> Sequence[type[Validator]]:  # type: ignore[empty-body]
    """Classes that score predictions without target labels."""


@hookspec
def register_strategies() -> Sequence[StrategySketch]:  # type: ignore[empty-body]
    """Strategies worth trying first, in order: the baselines and a portfolio of proven ones."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands of the plugin's own to `cli`, the `automl-xfer` command group."""


@hookspec
def after_trial(record: TrialRecord) -> None:
    """Called in the search process after each trial is written to the study, failed ones too.

    The next trial may be training by then, in its own process.
    """
