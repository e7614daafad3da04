"""Source only."""

from dataclasses import dataclass

from automl_xfer.components import AlignmentMethod


@dataclass(frozen=True)
class SourceOnly(AlignmentMethod):
    """Learn from the source's labels alone although the target has some: a baseline."""

    name = "source-only"
    requires = frozenset({"source", "target_labels"})
    trains_on = frozenset({"source"})
    complexity = 0
