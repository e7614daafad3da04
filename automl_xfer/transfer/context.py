"""Where a fit runs."""

from dataclasses import dataclass

from automl_xfer.transfer.feature_cache import FeatureCache


@dataclass(frozen=True)
class FitContext:
    """Device, seed and the features that are shared between fits."""

    device: str
    seed: int
    cache: FeatureCache
