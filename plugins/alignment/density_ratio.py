"""How much likelier an image is in the target than in the source, shared by the reweightings."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

Array = NDArray[np.float64]

FOLDS = 5


def log_density_ratio(source: Tensor, target: Tensor, dims: int) -> Array:
    """log p_t/p_s (N_s,) at the source samples, from a logistic domain classifier.

    log-odds of the target + log(N_s/N_t), each sample's log-odds from the classifier that was
    fitted on the other folds. Features (N_s, D) and (N_t, D) are reduced to `dims` principal
    components of unit variance. Zeros where a domain has a single sample.
    """
    folds = min(FOLDS, len(source), len(target))
    if folds < 2:
        return np.zeros(len(source))
    x = np.concatenate([each.detach().double().cpu().numpy() for each in (source, target)])
    domain = np.repeat([0, 1], [len(source), len(target)])
    x = PCA(min(dims, *x.shape), whiten=True, random_state=0).fit_transform(x)
    odds = cross_val_predict(
        LogisticRegression(max_iter=1000),
        x,
        domain,
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
        method="decision_function",
    )
    return odds[: len(source)] + math.log(len(source) / len(target))


def bounded_weights(log_ratio: Array, most: float) -> Array:
    """min(c e^log_ratio, most) with the c that makes the mean 1.

    Clipping and then dividing by the mean would let the largest weight pass `most` again where
    all ratios are small, as they are if the domains hardly overlap.
    """

    def clipped(shift: float) -> Array:
        return np.exp(np.minimum(log_ratio + shift, math.log(most)))

    low, high = -log_ratio.max() - 1, 1 - log_ratio.min()
    shift = brentq(lambda value: clipped(value).mean() - 1, low, high, xtol=1e-12)
    return clipped(shift)
