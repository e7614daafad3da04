"""Which stages lie above a frozen fraction of them."""

from automl_xfer.components import ParameterInfo


def above(depth: float, parameter: ParameterInfo) -> bool:
    """Whether the stage is at `depth` · n or above, of n; the last one always is."""
    return parameter.stage >= min(depth * parameter.n_stages, parameter.n_stages - 1)
