"""Joint training."""

from dataclasses import dataclass

from automl_xfer.components import AlignmentMethod


@dataclass(frozen=True)
class JointTraining(AlignmentMethod):
    """Learn from the labels of source and target together, and align nothing."""

    name = "joint"
    requires = frozenset({"source", "target_labels"})
