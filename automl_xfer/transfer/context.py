"""Where a fit runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from automl_xfer.transfer.compiling import Compiler
from automl_xfer.transfer.feature_cache import FeatureCache


@dataclass(frozen=True)
class FitContext:
    """Device, seed and what is shared between fits.

    `stage_dtype` is how activations of frozen stages are kept; None: they are computed each time.
    A training step adds up the gradients of so many `micro_batches`, where memory asks for it.
    Long training is compiled by the `compiler`, if there is one.
    """

    device: str
    seed: int
    cache: FeatureCache
    stage_dtype: DTypeLike | None = np.float16
    micro_batches: int = 1
    compiler: Compiler | None = None
