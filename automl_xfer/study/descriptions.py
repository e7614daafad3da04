"""Trials of one description, told apart by the parameters in which they differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from automl_xfer.study.records import TrialRecord

_MOST = 3
"""Parameters named; more would hide what the strategy is."""


def told_apart(trials: Sequence[TrialRecord]) -> dict[int, str]:
    """Trial id -> description; those that share one add what differs: `… (mix 0.5)`."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        groups.setdefault(trial.description, []).append(trial)
    told = {}
    for description, group in groups.items():
        values = {trial.id: _parameters(trial.strategy) for trial in group}
        names = _differing(values.values())[:_MOST]
        for id, own in values.items():
            each = [f"{name[1].replace('_', ' ')} {_short(own[name])}" for name in names]
            told[id] = f"{description} ({', '.join(each)})" if each else description
    return told


def _parameters(strategy: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """(axis, parameter) -> value, without names and teachers, which a description tells."""
    return {
        (axis, name): value
        for axis, component in strategy.items()
        for name, value in component.items()
        if name not in {"name", "teacher"}
    }


def _differing(values: Iterable[Mapping[tuple[str, str], Any]]) -> list[tuple[str, str]]:
    """The parameters that all have, and not all alike."""
    first, *others = values
    shared = [name for name in first if all(name in other for other in others)]
    return [name for name in shared if any(other[name] != first[name] for other in others)]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
