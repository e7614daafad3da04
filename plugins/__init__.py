"""The first-party components, registered through the entry point that any plugin uses.

A component is one class in one file of its axis's folder; its hook finds it there. Imports stand
inside the hooks, so that importing this module imports no torch.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from automl_xfer import hookimpl

if TYPE_CHECKING:
    from automl_xfer.components import (
        AlignmentMethod,
        AugmentationPolicy,
        Backbone,
        Component,
        FreezingPolicy,
        Head,
        Optimization,
        Regularizer,
        SourceSelection,
        StrategySketch,
        TransferabilityEstimator,
        Validator,
    )


@hookimpl
def register_backbones() -> Sequence[type[Backbone]]:
    return _components("backbones")


@hookimpl
def register_freezing_policies() -> Sequence[type[FreezingPolicy]]:
    return _components("freezing")


@hookimpl
def register_alignment_methods() -> Sequence[type[AlignmentMethod]]:
    return _components("alignment")


@hookimpl
def register_sources() -> Sequence[type[SourceSelection]]:
    return _components("sources")


@hookimpl
def register_augmentation_policies() -> Sequence[type[AugmentationPolicy]]:
    return _components("augmentation")


@hookimpl
def register_heads() -> Sequence[type[Head]]:
    return _components("heads")


@hookimpl
def register_regularizers() -> Sequence[type[Regularizer]]:
    return _components("regularizers")


@hookimpl
def register_optimizations() -> Sequence[type[Optimization]]:
    return _components("optimization")


@hookimpl
def register_transferability_estimators() -> Sequence[type[TransferabilityEstimator]]:
    return _components("transferability")


@hookimpl
def register_validators() -> Sequence[type[Validator]]:
    return _components("validators")


@hookimpl
def register_strategies() -> Sequence[StrategySketch]:
    from automl_xfer_plugins.portfolio import BASELINES, PORTFOLIO

    return [*BASELINES, *PORTFOLIO]


def _components(folder: str) -> list[type[Component]]:
    """The named component classes that the files of a folder define, file by file."""
    from automl_xfer.components import Component

    package = import_module(f"{__name__}.{folder}")
    found: list[type[Component]] = []
    for module in pkgutil.iter_modules(package.__path__):
        made = import_module(f"{package.__name__}.{module.name}")
        found += [
            each
            for each in vars(made).values()
            if isinstance(each, type)
            and issubclass(each, Component)
            and each.__module__ == made.__name__
            and each.name
        ]
    return found
