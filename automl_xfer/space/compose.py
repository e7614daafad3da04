"""Space: what the search may suggest, given the catalog, the backbones and facts about the data.

The axes are drawn in the order of `AXES`. What a component requires is held against the facts that
hold by then, before anything is drawn, and a name after which some later axis would have nothing
left is no choice either: every walk ends in a strategy.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import TYPE_CHECKING, Any, cast

from automl_xfer.components import AXES, Backbone, Component, Strategy
from automl_xfer.errors import ComponentError, ConfigError
from automl_xfer.plugin.names import suggestion
from automl_xfer.space.choosing import (
    Candidate,
    Chooser,
    Draw,
    Follow,
    Neighbour,
    Simplest,
    name_of,
)
from automl_xfer.space.facts import objections, provided_by

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Facts = frozenset[str]


@dataclass(frozen=True)
class Space:
    """The conditional space of one study.

    `classes` is the catalog's, axis -> name -> class; `facts` are those of the data; `choices`
    allows only some names on an axis (all, where the axis is not in it; a backbone goes by its
    label or its class's name); `removed` holds (axis, name) pairs that were taken out.

    Raises ComponentError for a name in `choices` that does not exist, and ConfigError when an axis
    has nothing admissible left.
    """

    classes: Mapping[str, Mapping[str, type[Component]]]
    backbones: tuple[Backbone, ...]
    facts: Facts
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: frozenset[tuple[str, str]] = frozenset()
    _admissible: dict[tuple[str, Facts], dict[str, Candidate]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Check the names asked for and that there is a way through."""
        for axis, names in self.choices.items():
            self._check_choices(axis, names)
        if not self.admissible(AXES[0], self.facts):
            raise ConfigError(self._no_way_through())

    def suggest(self, trial: "BaseTrial") -> Strategy:
        """Draw a strategy. A choice is called `axis~digest of the names`, a parameter
        `axis.component.parameter`, with a digest of its values where it has a few named ones.
        """
        return self._compose(Draw(trial))

    def strategy(
        self,
        backbone: str | None = None,
        names: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Strategy:
        """The simplest admissible strategy with these components.

        `backbone` is a label, `names` are axis -> name, `parameters` are values by
        `axis.component.parameter` in place of defaults. Raises ConfigError when nothing admissible
        has these components, ComponentError for a name, parameter or value that does not exist.
        """
        asked = {axis: (name,) for axis, name in (names or {}).items()}
        if backbone is not None:
            asked["backbone"] = (backbone,)
        for axis, (name,) in asked.items():
            if axis in AXES and name in self._known(axis) and name not in self._allowed(axis):
                raise ConfigError(f"this study does without the {axis} {name!r}; allow it first")
        chooser = Simplest(parameters or {})
        made = replace(self, choices={**self.choices, **asked})._compose(chooser)
        if unread := sorted(set(chooser.given) - chooser.used):
            raise ComponentError(
                f"no parameter {unread[0]!r} here; {suggestion(unread[0], chooser.used)}"
            )
        return made

    def neighbour(self, strategy: Strategy, random: Random) -> Strategy:
        """`strategy` with a few answers, or none, drawn anew."""
        return self._compose(Neighbour(strategy, random))

    def parameters_of(self, strategy: Strategy) -> dict[str, Any]:
        """The parameters to enqueue so that `suggest` returns an equal strategy.

        Raises ComponentError when the strategy is not in this space.
        """
        if reason := self.why_not(strategy):
            raise ComponentError(reason)
        chooser = Follow(strategy)
        self._compose(chooser)
        return chooser.parameters

    def is_admissible(self, strategy: Strategy) -> bool:
        """Whether `suggest` could return this strategy."""
        return self.why_not(strategy) is None

    def why_not(self, strategy: Strategy) -> str | None:
        """Why this strategy is not in the space, in a sentence; None when it is."""
        facts = self.facts
        for axis, component in strategy.components().items():
            name, candidates = name_of(component), self._allowed(axis)
            if name not in candidates:
                return f"{axis} {name!r} is not in this study; {suggestion(name, candidates)}"
            if against := objections(candidates[name], facts):
                return f"{axis} {name!r} cannot be used: it {' and '.join(against)}"
            facts |= provided_by(candidates[name], facts)
        return self._undrawn(strategy)

    def without(self, axis: str, name: str) -> "Space":
        """This space less one component. ConfigError when nothing is left.

        Choices that lose a name go by another key from then on, so that parameters enqueued before
        are not read any more: enqueue again what is still waiting.
        """
        if name not in self._known(axis):
            raise ComponentError(f"no {axis} {name!r}; {suggestion(name, self._known(axis))}")
        return replace(self, removed=self.removed | {(axis, name)})

    def without_backbone(self, label: str) -> "Space":
        """This space less one backbone candidate; see `without`."""
        return self.without("backbone", label)

    def admissible(self, axis: str, facts: Facts) -> dict[str, Candidate]:
        """The names of `axis` that can be drawn where `facts` hold: each has a way to the end."""
        if (axis, facts) not in self._admissible:
            self._admissible[axis, facts] = {
                name: candidate
                for name, candidate in self._open(axis, facts).items()
                if self._goes_on(axis, facts | provided_by(candidate, facts))
            }
        return self._admissible[axis, facts]

    def unreachable(self) -> dict[str, dict[str, str]]:
        """Axis -> name -> reason, for what the data and the other choices rule out everywhere."""
        unreachable: dict[str, dict[str, str]] = {}
        for axis, facts_before in self._walk(self.admissible):
            drawn = {name for facts in facts_before for name in self.admissible(axis, facts)}
            unreachable[axis] = {
                name: self._reason(candidate, facts_before)
                for name, candidate in self._allowed(axis).items()
                if name not in drawn
            }
        return {axis: names for axis, names in unreachable.items() if names}

    def _compose(self, chooser: Chooser) -> Strategy:
        facts, made = self.facts, {}
        for axis in AXES:
            admissible = self.admissible(axis, facts)
            candidate = admissible[chooser.choose(axis, admissible)]
            facts |= provided_by(candidate, facts)
            made[axis] = _make(axis, candidate, chooser)
        return Strategy(**cast(dict[str, Any], made))

    def _goes_on(self, axis: str, facts: Facts) -> bool:
        """Whether the axes after `axis` all have something admissible, one after another."""
        after = AXES.index(axis) + 1
        return after == len(AXES) or bool(self.admissible(AXES[after], facts))

    def _known(self, axis: str) -> dict[str, Candidate]:
        """Every candidate of an axis, by the name that is drawn."""
        if axis == "backbone":
            return {backbone.label: backbone for backbone in self.backbones}
        return dict(self.classes.get(axis, {}))

    def _allowed(self, axis: str) -> dict[str, Candidate]:
        """The candidates that `choices` and `removed` leave."""
        asked = self.choices.get(axis)
        return {
            name: candidate
            for name, candidate in self._known(axis).items()
            if (asked is None or name in asked or candidate.name in asked)
            and (axis, name) not in self.removed
        }

    def _check_choices(self, axis: str, names: tuple[str, ...]) -> None:
        if axis not in AXES:
            raise ComponentError(f"no axis is called {axis!r}; {suggestion(axis, AXES)}")
        candidates = self._known(axis)
        known = {*candidates, *(candidate.name for candidate in candidates.values())}
        for name in names:
            if name not in known:
                raise ComponentError(f"no {axis} is called {name!r}; {suggestion(name, known)}")

    def _open(self, axis: str, facts: Facts) -> dict[str, Candidate]:
        """The names of `axis` with no objection where `facts` hold, dead ends included."""
        allowed = self._allowed(axis).items()
        return {name: candidate for name, candidate in allowed if not objections(candidate, facts)}

    def _walk(
        self, choose: Callable[[str, Facts], dict[str, Candidate]]
    ) -> Iterator[tuple[str, set[Facts]]]:
        """Axis -> every set of facts that can hold before it, when `choose` says what is drawn."""
        before = {self.facts}
        for axis in AXES:
            yield axis, before
            before = {
                facts | provided_by(candidate, facts)
                for facts in before
                for candidate in choose(axis, facts).values()
            }

    def _no_way_through(self) -> str:
        """What to say when no strategy is possible: the first axis that has nothing left."""
        axis, facts_before = next(
            (axis, before)
            for axis, before in self._walk(self._open)
            if not any(self._open(axis, facts) for facts in before)
        )
        allowed = self._allowed(axis)
        if not allowed:
            return f"no {axis} is left to choose from; allow one more or add a plugin that has one"
        reasons = (f"{name} {self._reason(made, facts_before)}" for name, made in allowed.items())
        asked = f"asked for {', '.join(self.choices[axis])}" if axis in self.choices else "any"
        return (
            f"no {axis} can be used here ({asked}): {'; '.join(reasons)}; "
            "allow other components or change the data"
        )

    def _reason(self, candidate: Candidate, facts_before: set[Facts]) -> str:
        """The fewest objections to a candidate, over what may hold before it."""
        against = [objections(candidate, facts) for facts in facts_before]
        fewest = min(against, key=lambda each: (len(each), each), default=())
        return " and ".join(fewest) or "leaves nothing to choose on a later axis"

    def _undrawn(self, strategy: Strategy) -> str | None:
        """Fields that the search does not draw keep their defaults; a backbone is as offered."""
        for axis, component in strategy.components().items():
            for name, value in component.kept().items():
                return f"{axis} {name_of(component)!r} with {name} {value} is not drawn any more"
            offered = self._allowed(axis)[name_of(component)]
            if not isinstance(offered, type):
                same = component == offered
            else:
                same = type(component) is offered and component == offered(**_drawn(component))
            if not same:
                return (
                    f"{axis} {name_of(component)!r} is set up in a way that the search never draws"
                )
        return None


def _make(axis: str, candidate: Candidate, chooser: Chooser) -> Component:
    """The component, its parameters in the order of the class body."""
    if not isinstance(candidate, type):
        return candidate
    defaults = {each.name: each.default for each in fields(candidate)}
    values = {
        name: chooser.value(f"{axis}.{candidate.name}.{name}", allowed, defaults[name])
        for name, allowed in candidate.parameter_ranges().items()
    }
    return candidate(**values)


def _drawn(component: Component) -> dict[str, Any]:
    """The fields that the search sets: the parameters, and the teacher of what distils."""
    names = [*component.parameter_ranges()]
    if getattr(component, "distils", False):
        names.append("teacher")
    return {name: getattr(component, name) for name in names}
