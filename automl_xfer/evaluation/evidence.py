"""What held-out images say for each of several models: weights by pseudo-BMA+."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

_RESAMPLES = 500

_POWER = 0.5
"""An image counts for half: folds train on much the same images, so their scores go together.

Set with studies/benchmarks/selection.py, which reads no test image of the fixed tasks.
"""


def evidence_weights(log_scores: Scores, seed: int = 0) -> Scores:
    """(M,) weights, sum 1, of models by the log-probabilities (M, N) of held-out images' labels.

    Pseudo-BMA+: each model's share of exp(sum of log scores), averaged over a Bayesian bootstrap of
    the images, so that few of them do not decide alone. Yao, Vehtari, Simpson and Gelman 2018,
    arXiv 1704.02030, section 3.4.
    """
    n = log_scores.shape[1]
    images = np.random.default_rng(seed).standard_exponential((_RESAMPLES, n))
    images *= n / images.sum(1, keepdims=True)
    totals = _POWER * images @ log_scores.T
    shares = np.exp(totals - totals.max(1, keepdims=True))
    weights: Scores = (shares / shares.sum(1, keepdims=True)).mean(0)
    return weights
