"""What a measured distance says, noise aside."""

from collections.abc import Sequence

from automl_xfer.components import SourceDomain

NOISE = 0.005
"""Squared MMD of two samples of 500 images of one domain is about this large by chance."""


def above_noise(sources: Sequence[SourceDomain]) -> list[float]:
    """The sources' distances, none below what chance alone gives."""
    return [max(source.distance, NOISE) for source in sources]
