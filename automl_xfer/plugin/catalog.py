"""Catalog: every component found, as axis -> name -> class; fixed for the life of a study."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, cast

from automl_xfer.components import (
    AlignmentMethod,
    AugmentationPolicy,
    Backbone,
    BackboneRequest,
    Component,
    FreezingPolicy,
    Head,
    Optimization,
    Regularizer,
    SourceSelection,
    TransferabilityEstimator,
    Validator,
)
from automl_xfer.errors import CatalogChangedError, ComponentError, ConfigError, PluginError
from automl_xfer.plugin.manager import LoadedPlugins
from automl_xfer.plugin.names import suggestion

HOOKS: Mapping[str, tuple[str, type[Component]]] = {  # axis -> its hook and its abstract class
    "backbone": ("register_backbones", Backbone),
    "freezing": ("register_freezing_policies", FreezingPolicy),
    "alignment": ("register_alignment_methods", AlignmentMethod),
    "sources": ("register_sources", SourceSelection),
    "head": ("register_heads", Head),
    "augmentation": ("register_augmentation_policies", AugmentationPolicy),
    "regularizer": ("register_regularizers", Regularizer),
    "optimization": ("register_optimizations", Optimization),
    "transferability": ("register_transferability_estimators", TransferabilityEstimator),
    "validator": ("register_validators", Validator),
}
_INITIALISATIONS = ("pretrained", "source", "random")
_KEBAB_CASE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class CatalogEntry:
    """One component class, the plugin that owns it, and that plugin's version."""

    component: type[Component]
    plugin: str
    version: str


@dataclass(frozen=True)
class Catalog:
    """Axis -> name -> entry, names sorted.

    The axes are a strategy's, `transferability` and `validator`.
    """

    entries: Mapping[str, Mapping[str, CatalogEntry]]

    @cached_property
    def classes(self) -> dict[str, dict[str, type[Component]]]:
        """Axis -> name -> class, as `Strategy.from_dict` and the space take it."""
        return {
            axis: {name: entry.component for name, entry in entries.items()}
            for axis, entries in self.entries.items()
        }

    def entry(self, axis: str, name: str) -> CatalogEntry:
        """One component with its owner; ComponentError names the nearest when there is none."""
        if axis not in self.entries:
            raise ComponentError(f"no axis is called {axis!r}; {suggestion(axis, self.entries)}")
        if name not in self.entries[axis]:
            near = suggestion(name, self.entries[axis])
            raise ComponentError(f"no {axis} is called {name!r}; {near}")
        return self.entries[axis][name]

    def get(self, axis: str, name: str) -> type[Component]:
        """The class of one component; ComponentError names the nearest when there is none."""
        return self.entry(axis, name).component

    def find(self, name: str) -> dict[str, CatalogEntry]:
        """Axis -> entry of every component called `name`; `AXIS/NAME` asks one axis only."""
        axis, _, short = name.rpartition("/")
        if axis:
            return {axis: self.entry(axis, short)}
        found = {axis: names[short] for axis, names in self.entries.items() if short in names}
        if not found:
            known = {known for names in self.entries.values() for known in names}
            raise ComponentError(f"no component is called {short!r}; {suggestion(short, known)}")
        return found

    def backbones(self, request: BackboneRequest) -> tuple[Backbone, ...]:
        """The candidates of every backbone class, one per label; the pretrained ones first.

        Raises ConfigError for a pattern that no class knows and a folder of weights without any.
        """
        classes = sorted(
            cast(dict[str, type[Backbone]], self.classes["backbone"]).values(),
            key=lambda made: (_INITIALISATIONS.index(made.initialisation), made.complexity),
        )
        for pattern in request.patterns:
            alone = replace(request, patterns=(pattern,))
            if not any(made.candidates(alone) for made in classes):
                raise ConfigError(_unknown_pattern(pattern, request, classes))
        candidates: dict[str, Backbone] = {}
        for made in classes:
            for backbone in made.candidates(request):
                candidates.setdefault(backbone.label, backbone)
        if not candidates and request.weights_dir is not None:
            raise ConfigError(
                f"{request.weights_dir} holds no model in timm's local layout (a folder with "
                "config.json and model.safetensors for each); give another --weights-dir"
            )
        return tuple(candidates.values())

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Axis -> {name: "plugin version"}, stored with a study."""
        return {
            axis: {name: f"{entry.plugin} {entry.version}" for name, entry in entries.items()}
            for axis, entries in self.entries.items()
        }


def build_catalog(loaded: LoadedPlugins) -> Catalog:
    """Ask every plugin for its components and check each class.

    A plugin with a faulty class is left out whole and reported in `loaded.problems`. Raises
    PluginError when two plugins, or one plugin twice, use one name on one axis.
    """
    offered = {axis: _offered(loaded, axis) for axis in HOOKS}
    return Catalog({axis: _entries(loaded, axis, offers) for axis, offers in offered.items()})


def check_same(stored: Mapping[str, Mapping[str, str]], catalog: Catalog) -> None:
    """Raise CatalogChangedError with the names that differ from a study's stored catalog."""
    before, now = _flat(stored), _flat(catalog.to_dict())
    changes = [f"{key} ({before[key]}) is gone" for key in sorted(before.keys() - now.keys())]
    changes += [f"{key} ({now[key]}) is new" for key in sorted(now.keys() - before.keys())]
    changes += [
        f"{key} was {before[key]} and is {now[key]}"
        for key in sorted(before.keys() & now.keys())
        if before[key] != now[key]
    ]
    if changes:
        raise CatalogChangedError(
            f"the study was begun with other components: {'; '.join(changes)}; restore those "
            "plugins or begin a new study"
        )


def _unknown_pattern(
    pattern: str, request: BackboneRequest, classes: Sequence[type[Backbone]]
) -> str:
    if request.weights_dir is None:
        return (
            f"no backbone matches {pattern!r}; timm.list_models('*NAME*', pretrained=True) has the "
            "names, or give --weights-dir"
        )
    everything = replace(request, patterns=())
    labels = {found.label for made in classes for found in made.candidates(everything)}
    near = suggestion(pattern, labels)
    return f"no backbone in {request.weights_dir} matches {pattern!r}; {near}"


def _flat(stored: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {
        f"{axis}/{name}": owner for axis, names in stored.items() for name, owner in names.items()
    }


def _offered(loaded: LoadedPlugins, axis: str) -> list[tuple[str, type[Component]]]:
    """(plugin, class) of the plugins whose classes of this axis are all sound."""
    hook, base = HOOKS[axis]
    offered = []
    for plugin, classes in loaded.call(hook):
        fault = _fault(classes, base)
        if fault:
            loaded.leave_out(plugin, f"returned from {hook} {fault}")
        else:
            offered += [(plugin, made) for made in classes]
    return offered


def _entries(
    loaded: LoadedPlugins, axis: str, offers: Sequence[tuple[str, type[Component]]]
) -> dict[str, CatalogEntry]:
    """Name -> entry of the plugins that are still in after every axis was asked."""
    entries: dict[str, CatalogEntry] = {}
    for plugin, made in sorted(offers, key=lambda offer: offer[1].name):
        if plugin not in loaded.versions:
            continue
        if made.name in entries:
            raise PluginError(
                f"plugins {entries[made.name].plugin!r} and {plugin!r} both have a {axis} called "
                f"{made.name!r}; disable one of them"
            )
        entries[made.name] = CatalogEntry(made, plugin, loaded.versions[plugin])
    return entries


def _fault(classes: Any, base: type[Component]) -> str | None:
    """What is wrong with what a hook returned."""
    if not isinstance(classes, list | tuple):
        return f"{type(classes).__name__} in place of a list of classes"
    faults = (class_fault(made, base) for made in classes)
    return next((fault for fault in faults if fault), None)


def class_fault(made: Any, base: type[Component]) -> str | None:
    """The first rule that a class meant as a component of `base`'s axis breaks, in words."""
    if not (isinstance(made, type) and issubclass(made, base)):
        return f"{made!r}, which is no subclass of {base.__name__}"
    for rule in (_declaration_fault, _abstract_fault, _default_fault):
        if fault := rule(made):
            return f"the class {made.__name__}, {fault}"
    return None


def _declaration_fault(made: type[Component]) -> str | None:
    parameters = vars(made).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        return "which must be decorated with @dataclass(frozen=True)"
    if not _KEBAB_CASE.fullmatch(made.name):
        return f"whose name must be words in small letters joined by '-', not {made.name!r}"
    if getattr(made, "distils", False) and "teacher" not in {each.name for each in fields(made)}:
        return "which distils and needs a field `teacher: str = ''` for the search to fill"
    if getattr(made, "averages", False) and "ingredients" not in {f.name for f in fields(made)}:
        return "which averages and needs a field `ingredients: str = ''` for the search to fill"
    for attribute in ("requires", "excludes", "provides"):
        if not isinstance(getattr(made, attribute), AbstractSet):
            return f"whose {attribute} must be a frozenset of fact names"
    return None


def _abstract_fault(made: type[Component]) -> str | None:
    # Component has no ABCMeta, so that Python itself does not refuse a class that lacks a method.
    missing = [
        name for name in dir(made) if getattr(getattr(made, name), "__isabstractmethod__", False)
    ]
    return f"which lacks the method {', '.join(missing)}" if missing else None


def _default_fault(made: type[Component]) -> str | None:
    """Every component but a backbone, which is offered as instances, is made from defaults."""
    if issubclass(made, Backbone):
        return None
    try:
        made()
    except Exception as error:
        return f"which cannot be made from its defaults: {error}"
    return None
