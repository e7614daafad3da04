"""One named check of a component, and the sentence in which it fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import torch

from automl_xfer.components import Component
from automl_xfer.errors import ConformanceError


class FaultFound(Exception):  # noqa: N818 - what a check found, not an error of its own
    """What a component does wrong and what to do about it, in one clause."""


@dataclass(frozen=True)
class Check:
    """A rule that components of one axis keep; `check(component)` raises ConformanceError.

    `hook` names the method that must be overridden for the rule to say anything. `of_class`:
    the rule looks at the class alone and needs no instance.
    """

    run: Callable[[Any], None]
    hook: str = ""
    of_class: bool = False

    @property
    def name(self) -> str:
        """The rule in words."""
        return self.run.__name__.removeprefix("check_").replace("_", " ")

    def __call__(self, component: Component | type[Component]) -> None:
        """Check an instance, or a class by the instance that its defaults make."""
        made = class_of(component)
        try:
            with seeded():
                self.run(made if self.of_class else instance(component))
        except FaultFound as fault:
            found, cause = str(fault), None
        except Exception as error:
            found, cause = f"it raised {type(error).__name__}: {error}", error
        else:
            return
        words = " ".join(found.split())
        raise ConformanceError(f"{made.axis} {made.name!r} fails '{self.name}': {words}") from cause


def expect(condition: object, otherwise: str) -> None:
    """Raise FaultFound with these words unless the condition holds."""
    if not condition:
        raise FaultFound(otherwise)


def class_of(component: Component | type[Component]) -> type[Component]:
    """The class of an instance, or the class itself."""
    return component if isinstance(component, type) else type(component)


def overrides(component: Component | type[Component], hook: str) -> bool:
    """Whether the class has its own `hook` in place of the one of its axis."""
    made = class_of(component)
    return getattr(made, hook) is not getattr(axis_class(made), hook)


def axis_class(made: type[Component]) -> type[Component]:
    """The abstract class of the axis on which a component stands."""
    from automl_xfer.plugin.catalog import HOOKS  # the catalog's own table, not a second one

    return next((base for _, base in HOOKS.values() if issubclass(made, base)), Component)


def instance(component: Component | type[Component]) -> Component:
    """The component itself, or what its class's defaults make."""
    return component() if isinstance(component, type) else component


def lacking_defaults(component: Component | type[Component]) -> list[str]:
    """Fields of a class that need a value; such a class is checked by an instance."""
    if not isinstance(component, type):
        return []
    return [
        each.name
        for each in fields(component)
        if each.default is MISSING and each.default_factory is MISSING
    ]


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """The same random numbers inside each time, and outside as if nothing had been drawn."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
