"""Multinomial logistic regression, in less time than a library needs to check small inputs."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

MOST_STEPS = 300


def softmax_regression(
    z: Array, y: Labels, weight: Array, strength: float, start: Array, tolerance: float = 1e-4
) -> Array:
    """(K, D + 1) coefficients and, last, intercepts for samples z (N, D) of classes y (N,).

    They minimise ½‖W‖² + C Σ_i w_i CE_i with C = `strength`, of two classes ½‖w_1 − w_0‖² in place
    of ½‖W‖², as scikit-learn does; by L-BFGS from `start` until the largest gradient of the mean
    loss is below `tolerance`. Intercepts are free.
    """
    shape, rows, total = start.shape, np.arange(len(y)), weight.sum()
    ridge = (2.0 if shape[0] == 2 else 1.0) / (strength * total)
    share = weight / total

    def loss(flat: Array) -> tuple[float, Array]:
        w = flat.reshape(shape)
        errors, losses = softmax_errors(z @ w[:, :-1].T + w[:, -1], y, rows)
        errors *= share[:, None]
        gradient = np.empty(shape)
        gradient[:, :-1] = errors.T @ z + ridge * w[:, :-1]
        gradient[:, -1] = errors.sum(0)
        return share @ losses + ridge * np.square(w[:, :-1]).sum() / 2, gradient.ravel()

    options = {"maxiter": MOST_STEPS, "gtol": tolerance, "ftol": 64 * np.finfo(float).eps}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    best: Array = found.x.reshape(shape)
    return best


def mean_log_loss(z: Array, y: Labels, weight: Array, coefficients: Array) -> float:
    """Weighted mean cross-entropy of samples (N, D) under coefficients (K, D + 1)."""
    logits = z @ coefficients[:, :-1].T + coefficients[:, -1]
    return float(weight @ softmax_errors(logits, y, np.arange(len(y)))[1] / weight.sum())


def softmax_errors(logits: Array, y: Labels, rows: Labels) -> tuple[Array, Array]:
    """softmax − one-hot (N, K) and the cross-entropies (N,) of logits (N, K); `rows` is 0..N-1."""
    logits = logits - logits.max(1, keepdims=True)
    right = logits[rows, y]
    powers = np.exp(logits)
    sums = powers.sum(1)
    errors = powers / sums[:, None]
    errors[rows, y] -= 1
    return errors, np.log(sums) - right
