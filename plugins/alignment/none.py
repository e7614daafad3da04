"""No alignment."""

from dataclasses import dataclass

from automl_xfer.components import AlignmentMethod


@dataclass(frozen=True)
class NoAlignment(AlignmentMethod):
    """Learn from the target's labels alone (from the source's where the target has none)."""

    name = "none"
    requires = frozenset()
    trains_on = frozenset({"target"})
    complexity = 0
