"""What held-out images say for each of several models: weights by pseudo-BMA+."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from automl_xfer.evaluation.metrics import LEAST_PROBABILITY, Labels, Probabilities

Scores = NDArray[np.float64]

_RESAMPLES = 500

_POWER = 0.5
"""An image counts for half: folds train on much the same images, so their scores go together.

Set on simulated searches of 5 images per class from PACS and Office-Caltech10, whose test images in
the fixed tasks were left out; 0.35 to 0.7 were as good.
"""

_LARGEST_LOG_TEMPERATURE = 3.0


def calibrated_log_scores(labels: Labels, probabilities: Probabilities) -> Scores:
    """(N,) log-probability of each image's label, at the temperature with the best mean.

    Probabilities (N, K). Guo et al. 2017, arXiv 1706.04599: how sure a model is of itself is no
    matter of how well it ranks the classes. Clipped at 1e-6.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), LEAST_PROBABILITY, 1))
    rows = np.arange(len(labels))

    def scores(log_temperature: float) -> Scores:
        of_label: Scores = log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels]
        return np.maximum(of_label, np.log(LEAST_PROBABILITY))

    bounds = (-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE)
    best = minimize_scalar(lambda each: -scores(each).mean(), bounds=bounds, method="bounded")
    return scores(best.x)


def evidence_weights(log_scores: Scores, seed: int = 0) -> Scores:
    """(M,) weights, sum 1, of models by their held-out log scores (M, N).

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
