"""Trials of one description, told apart by the parameters in which they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from automl_xfer.study.records import Role, TrialRecord

Parameter = tuple[str, str]
"""Axis and name."""

_MOST = 3
"""Parameters named; more would hide what the strategy is."""


def told_apart(trials: Sequence[TrialRecord]) -> dict[int, str]:
    """Trial id -> description; those that share one add what differs: `… (mix 0.5)`."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        groups.setdefault(trial.description, []).append(trial)
    told = {}
    for description, group in groups.items():
        values = [_parameters(trial.strategy) for trial in group]
        named = _separating(values)
        for trial, own in zip(group, values, strict=True):
            each = ", ".join(f"{_name(key, named)} {_short(own[key])}" for key in named)
            told[trial.id] = f"{description} ({each})" if each else description
    return told


def trial_name(trial: TrialRecord) -> str:
    """What a trial is called among people: its number, or what it is that has none."""
    if trial.repeats is not None:
        return f"repeat of {trial.repeats}"
    if trial.number is not None:
        return str(trial.number)
    return "at the end" if trial.role is Role.FINALIST else "baseline"


def _parameters(strategy: Mapping[str, Mapping[str, Any]]) -> dict[Parameter, Any]:
    """The values of a strategy's parameters, without names and what the search sets."""
    return {
        (axis, name): value
        for axis, component in strategy.items()
        for name, value in component.items()
        if name not in {"name", "teacher", "ingredients"}
    }


def _separating(values: Sequence[Mapping[Parameter, Any]]) -> list[Parameter]:
    """Parameters that all have and that tell the most of them apart, one after another."""
    first, *others = values
    left = [key for key in first if all(key in other for other in others)]
    named: list[Parameter] = []

    def kinds(keys: Sequence[Parameter]) -> int:
        return len({tuple(str(each[key]) for key in keys) for each in values})

    while left and len(named) < _MOST:
        best = max(left, key=lambda key: kinds([*named, key]))
        if kinds([*named, best]) == kinds(named):
            break
        named.append(best)
        left.remove(best)
    return named


def _name(key: Parameter, named: Sequence[Parameter]) -> str:
    """The parameter's name, after its axis where two have it."""
    axis, name = key
    alone = sum(other == name for _, other in named) == 1
    return name.replace("_", " ") if alone else f"{axis} {name.replace('_', ' ')}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
