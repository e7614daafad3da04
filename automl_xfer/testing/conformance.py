"""Run every check of a component's axis, at once or as pytest parameters."""

from collections.abc import Callable, Sequence
from typing import Any

from automl_xfer.components import Component
from automl_xfer.errors import ConformanceError
from automl_xfer.testing import (
    alignment_checks,
    backbone_checks,
    component_checks,
    head_checks,
    judging_checks,
    training_checks,
)
from automl_xfer.testing.check import Check, lacking_defaults, overrides

AXIS_CHECKS: dict[str, tuple[Check, ...]] = {
    "backbone": backbone_checks.CHECKS,
    "freezing": training_checks.FREEZING,
    "alignment": alignment_checks.CHECKS,
    "sources": judging_checks.SOURCES,
    "head": head_checks.CHECKS,
    "augmentation": training_checks.AUGMENTATION,
    "regularizer": training_checks.REGULARIZER,
    "optimization": training_checks.OPTIMIZATION,
    "transferability": judging_checks.TRANSFERABILITY,
    "validator": judging_checks.VALIDATOR,
}


def checks_for(component: Component | type[Component]) -> list[Check]:
    """The checks that say something about a component; of a class without defaults, the class's.

    Such a class, a backbone mostly, is checked whole when an instance is given.
    """
    checks = [*component_checks.CHECKS, *AXIS_CHECKS.get(component.axis, ())]
    if lacking_defaults(component):
        return [check for check in checks if check.of_class]
    return [check for check in checks if not check.hook or overrides(component, check.hook)]


def check_component(component: Component | type[Component]) -> None:
    """Run all checks of a component's axis; ConformanceError lists those that fail."""
    failures = []
    for check in checks_for(component):
        try:
            check(component)
        except ConformanceError as failure:
            failures.append(str(failure))
    if failures:
        raise ConformanceError("\n".join(failures))


def parametrize_with_checks(
    components: Sequence[Component | type[Component]],
) -> Callable[[Any], Any]:
    """A pytest decorator for a test of `(component, check)` that calls `check(component)`."""
    import pytest  # who writes tests has it

    parameters = [
        pytest.param(component, check, id=f"{_title(component)}-{check.name.replace(' ', '_')}")
        for component in components
        for check in checks_for(component)
    ]
    return pytest.mark.parametrize(("component", "check"), parameters)


def _title(component: Component | type[Component]) -> str:
    label = component.name if isinstance(component, type) else component.label
    return f"{component.axis}/{label}"
