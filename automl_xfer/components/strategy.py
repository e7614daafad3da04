"""Strategy: one component per axis, plain data, JSON both ways."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from automl_xfer.components.alignment import AlignmentMethod
from automl_xfer.components.augmentation import AugmentationPolicy
from automl_xfer.components.backbone import Backbone
from automl_xfer.components.base import Component
from automl_xfer.components.freezing import FreezingPolicy
from automl_xfer.components.head import Head
from automl_xfer.components.optimization import Optimization
from automl_xfer.components.regularizer import Regularizer
from automl_xfer.components.sources import SourceSelection
from automl_xfer.errors import ComponentError

AXES: tuple[str, ...] = (
    "backbone",
    "freezing",
    "alignment",
    "sources",
    "head",
    "augmentation",
    "regularizer",
    "optimization",
)
"""The axes of a strategy in the order in which they are drawn."""

_UNSAID = ("none", "closed-form", "all-sources")


@dataclass(frozen=True)
class Strategy:
    """One way to transfer: what a trial trains."""

    backbone: Backbone
    freezing: FreezingPolicy
    alignment: AlignmentMethod
    sources: SourceSelection
    head: Head
    augmentation: AugmentationPolicy
    regularizer: Regularizer
    optimization: Optimization

    def components(self) -> dict[str, Component]:
        """Axis -> component, in the order of `AXES`."""
        return {axis: getattr(self, axis) for axis in AXES}

    @property
    def complexity(self) -> int:
        """Sum over the components; of two strategies that score alike the smaller one wins."""
        return sum(component.complexity for component in self.components().values())

    @property
    def frozen(self) -> bool:
        """Whether no backbone parameter ever trains."""
        return "frozen" in self.freezing.provides

    def describe(self) -> str:
        """One line for people: the labels that are not `none`, joined by ` · `."""
        labels = [component.label for component in self.components().values()]
        return " · ".join(label for label in labels if label not in _UNSAID)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Axis -> component data."""
        return {axis: component.to_dict() for axis, component in self.components().items()}

    def to_json(self) -> str:
        """One line of JSON with sorted keys, equal for equal strategies."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Mapping[str, Any]], catalog: Mapping[str, Mapping[str, type]]
    ) -> "Strategy":
        """Rebuild from `to_dict`'s data with the classes of `catalog` (axis -> name -> class)."""
        if wrong := sorted(set(data) ^ {field.name for field in fields(cls)}):
            raise ComponentError(f"a strategy names each axis once; check {', '.join(wrong)}")
        made: dict[str, Any] = {}
        for axis, parameters in data.items():
            name = parameters.get("name", "")
            if name not in catalog[axis]:
                raise ComponentError(
                    f"no {axis} is called {name!r}; there are {', '.join(sorted(catalog[axis]))}"
                )
            made[axis] = catalog[axis][name].from_dict(parameters)  # type: ignore[attr-defined]
        return cls(**made)


@dataclass(frozen=True)
class StrategySketch:
    """A strategy worth trying early: some axes fixed, the space fills in the simplest rest.

    `components` is axis -> component data as in `Strategy.to_dict`, the backbone left out.
    `baseline` names one that every study compares with. The sketch is tried on the `top` best
    backbones by a quick look at their features, or on the untrained one where `initialisation`
    asks for that.
    """

    components: Mapping[str, Mapping[str, Any]]
    baseline: str | None = None
    top: int = 1
    initialisation: str = "pretrained"
    requires: frozenset[str] = frozenset()  # facts about the data
