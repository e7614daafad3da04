"""Ways to walk through a space: as a trial draws, as a strategy has it, near it, as is simplest."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, cast

from automl_xfer.components import Backbone, Component, Strategy
from automl_xfer.components.base import FloatRange, IntRange, ParameterRange

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Candidate = Backbone | type[Component]
"""A backbone of the study, or a class of any other axis."""


class Chooser(Protocol):
    """Answers the questions that a space asks on the way to a strategy."""

    def choose(self, axis: str, admissible: Mapping[str, Candidate]) -> str:
        """One of the names in `admissible`, which holds at least one."""

    def value(self, key: str, allowed: ParameterRange, default: Any) -> Any:
        """The value of the parameter `key`, which is `axis.component.parameter`."""


def name_of(chosen: Component) -> str:
    """What a component is drawn by: a backbone's label, any other component's name."""
    return chosen.label if isinstance(chosen, Backbone) else chosen.name


def choice_key(axis: str, names: Sequence[str]) -> str:
    """The name of a choice: Optuna refuses a list that changes, so that the list is part of it."""
    digest = hashlib.blake2s("\n".join(names).encode(), digest_size=3).hexdigest()
    return f"{axis}~{digest}"


def parameter_key(key: str, allowed: ParameterRange) -> str:
    """The name that Optuna knows a parameter by; that of a choice tells its values as well."""
    if isinstance(allowed, FloatRange | IntRange):
        return key
    return choice_key(key, [str(value) for value in allowed.values])


@dataclass(frozen=True)
class Draw:
    """Draws from an Optuna trial. What has one answer only is not drawn."""

    trial: "BaseTrial"

    def choose(self, axis: str, admissible: Mapping[str, Candidate]) -> str:
        """Draw one of the sorted names."""
        names = sorted(admissible)
        if len(names) == 1:
            return names[0]
        return self.trial.suggest_categorical(choice_key(axis, names), choices=names)

    def value(self, key: str, allowed: ParameterRange, default: Any) -> Any:
        """Draw from the parameter's range."""
        if isinstance(allowed, FloatRange):
            return self.trial.suggest_float(key, allowed.low, allowed.high, log=allowed.log)
        if isinstance(allowed, IntRange):
            return self.trial.suggest_int(key, allowed.low, allowed.high, log=allowed.log)
        values = cast(Sequence[Any], allowed.values)
        return self.trial.suggest_categorical(parameter_key(key, allowed), choices=values)


@dataclass(frozen=True)
class Follow:
    """Answers as `strategy` has it, and keeps what `Draw` would have drawn."""

    strategy: Strategy
    parameters: dict[str, Any] = field(default_factory=dict)

    def choose(self, axis: str, admissible: Mapping[str, Candidate]) -> str:
        """The strategy's component of this axis."""
        name = name_of(self.strategy.components()[axis])
        if len(admissible) > 1:
            self.parameters[choice_key(axis, sorted(admissible))] = name
        return name

    def value(self, key: str, allowed: ParameterRange, default: Any) -> Any:
        """The strategy's value of this parameter."""
        axis, _, parameter = key.split(".")
        value = getattr(self.strategy.components()[axis], parameter)
        self.parameters[parameter_key(key, allowed)] = value
        return value


_SHARE_CHANGED = 0.15
"""So large a share of the answers is drawn anew on the way to a neighbour."""


@dataclass(frozen=True)
class Neighbour:
    """Answers as `strategy` has it, but for a few that are drawn anew."""

    strategy: Strategy
    random: Random

    def choose(self, axis: str, admissible: Mapping[str, Candidate]) -> str:
        """The strategy's component of this axis, or one that is drawn."""
        name = name_of(self.strategy.components()[axis])
        kept = name in admissible and self.random.random() >= _SHARE_CHANGED
        return name if kept else self.random.choice(sorted(admissible))

    def value(self, key: str, allowed: ParameterRange, default: Any) -> Any:
        """The strategy's value of this parameter, or one that is drawn; so for a new component."""
        axis, name, parameter = key.split(".")
        component = self.strategy.components()[axis]
        kept = component.name == name and self.random.random() >= _SHARE_CHANGED
        return getattr(component, parameter) if kept else _drawn_from(allowed, self.random)


def _drawn_from(allowed: ParameterRange, random: Random) -> Any:
    """A value of the range, each as likely as Optuna's random sampler has it."""
    if not isinstance(allowed, FloatRange | IntRange):
        return random.choice(allowed.values)
    whole = isinstance(allowed, IntRange)  # stands for all that is nearest
    low, high = (allowed.low - 0.5, allowed.high + 0.5) if whole else (allowed.low, allowed.high)
    if allowed.log:
        value = math.exp(random.uniform(math.log(low), math.log(high)))
    else:
        value = random.uniform(low, high)
    value = min(max(value, allowed.low), allowed.high)
    return round(value) if whole else value


@dataclass(frozen=True)
class Simplest:
    """The first backbone and else the least complex components; default values, or `given`."""

    given: Mapping[str, Any]
    used: set[str] = field(default_factory=set)

    def choose(self, axis: str, admissible: Mapping[str, Candidate]) -> str:
        """The first of the least complex names; backbones come best guess first."""
        if axis == "backbone":
            return next(iter(admissible))
        return min(admissible, key=lambda name: admissible[name].complexity)

    def value(self, key: str, allowed: ParameterRange, default: Any) -> Any:
        """The value given, or the default."""
        self.used.add(key)
        return self.given.get(key, default)
