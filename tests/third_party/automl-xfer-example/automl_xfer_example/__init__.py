"""Registers the alignment method `mean-matching`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_xfer import hookimpl

if TYPE_CHECKING:
    from automl_xfer.components import AlignmentMethod


@hookimpl
def register_alignment_methods() -> list[type[AlignmentMethod]]:
    from automl_xfer_example.mean_matching import MeanMatching

    return [MeanMatching]
