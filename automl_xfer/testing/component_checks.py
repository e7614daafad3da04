"""What holds for a component of any axis."""

import copy
import inspect
import json
import pickle
from dataclasses import replace
from typing import Any

from automl_xfer.components import Component
from automl_xfer.components.base import FloatRange, IntRange, Options
from automl_xfer.errors import ComponentError
from automl_xfer.plugin.catalog import class_fault
from automl_xfer.testing.check import Check, axis_class, expect


def check_class_is_one_that_the_catalog_takes(made: type[Component]) -> None:
    """A frozen dataclass with a name in kebab-case, all its methods and sound defaults."""
    expect(axis_class(made) is not Component, "derive it from the class of one axis")
    fault = class_fault(made, axis_class(made))
    expect(fault is None, f"the catalog refuses {fault}")


def check_docstring_begins_with_a_summary(made: type[Component]) -> None:
    """`plugins show` and the component pages print it."""
    # dataclass gives a class without docstring its signature for one.
    written = (made.__doc__ or "").strip()
    expect(
        written and not written.startswith(f"{made.__name__}("),
        "write a docstring whose first line says what the component does",
    )


def check_facts_are_frozensets_of_words(made: type[Component]) -> None:
    """A set that can change would change for every study of the process."""
    for attribute in ("requires", "excludes", "provides"):
        facts = getattr(made, attribute)
        sound = isinstance(facts, frozenset) and all(isinstance(fact, str) for fact in facts)
        expect(sound, f"{attribute} is {facts!r}; write frozenset({{'a_fact', ...}})")
    both = sorted(made.requires & made.excludes)
    expect(not both, f"it requires and excludes {', '.join(both)}, so that it is never drawn")


def check_complexity_is_a_count(made: type[Component]) -> None:
    """Ties are broken by the sum over a strategy."""
    sound = isinstance(made.complexity, int) and made.complexity >= 0
    expect(sound, f"complexity is {made.complexity!r}; write 0 for the simplest, up to 3")


def check_methods_take_the_arguments_of_their_axis(made: type[Component]) -> None:
    """Every overridden method of the axis can be called as its axis documents it."""
    base = axis_class(made)
    for name, declared in inspect.getmembers(base, inspect.isfunction):
        own = getattr(made, name)
        if name.startswith("_") or own is declared or not callable(own):
            continue
        positional, named = _arguments(declared)
        try:
            inspect.signature(own).bind(*positional, **named)
        except TypeError:
            takes, wanted = (
                ", ".join(inspect.signature(each).parameters) for each in (own, declared)
            )
            expect(False, f"{name}({takes}) cannot be called as {name}({wanted})")


def check_label_is_text(component: Component) -> None:
    """Leaderboards name the component by it."""
    sound = isinstance(component.label, str) and component.label.strip()
    expect(sound, f"label is {component.label!r}; return a name")


def check_both_ends_of_every_range_can_be_used(component: Component) -> None:
    """The search draws up to both ends, and every option."""
    for name, value in _ends(component):
        replace(component, **{name: value})


def check_values_outside_a_range_are_refused(component: Component) -> None:
    """`Component.__post_init__` does it, unless a class overrides it without calling it."""
    for name, allowed in component.parameter_ranges().items():
        outside = object() if isinstance(allowed, Options) else allowed.high + 1
        try:
            replace(component, **{name: outside})
        except ComponentError:
            continue
        expect(False, f"{name} = {outside!r} is accepted; call super().__post_init__()")


def check_survives_json(component: Component) -> None:
    """Studies and bundles store components so."""
    back = type(component).from_dict(json.loads(json.dumps(component.to_dict())))
    expect(back == component, f"{component!r} comes back from to_dict() as {back!r}")


def check_survives_pickle_and_copy(component: Component) -> None:
    """Trials run in processes of their own."""
    for back in (pickle.loads(pickle.dumps(component)), copy.deepcopy(component)):
        same = back == component and hash(back) == hash(component)
        expect(same, f"{component!r} comes back from pickle or deepcopy as {back!r}")


def _arguments(declared: Any) -> tuple[list[None], dict[str, None]]:
    """Stand-ins for self and the arguments of a method, by position and by name."""
    parameters = inspect.signature(declared).parameters.values()
    named = {each.name: None for each in parameters if each.kind is each.KEYWORD_ONLY}
    return [None] * (len(parameters) - len(named)), named


def _ends(component: Component) -> list[tuple[str, Any]]:
    """(parameter, value) of the ends of every range."""
    ends: list[tuple[str, Any]] = []
    for name, allowed in component.parameter_ranges().items():
        match allowed:
            case FloatRange(low, high) | IntRange(low, high):
                ends += [(name, low), (name, high)]
            case Options(values):
                ends += [(name, value) for value in values]
    return ends


CHECKS = (
    Check(check_class_is_one_that_the_catalog_takes, of_class=True),
    Check(check_docstring_begins_with_a_summary, of_class=True),
    Check(check_facts_are_frozensets_of_words, of_class=True),
    Check(check_complexity_is_a_count, of_class=True),
    Check(check_methods_take_the_arguments_of_their_axis, of_class=True),
    Check(check_label_is_text),
    Check(check_both_ends_of_every_range_can_be_used),
    Check(check_values_outside_a_range_are_refused),
    Check(check_survives_json),
    Check(check_survives_pickle_and_copy),
)
