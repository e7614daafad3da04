"""Normalisation parameters and biases only."""

from dataclasses import dataclass

from automl_xfer.components import Choice, FreezingPolicy, ParameterInfo


@dataclass(frozen=True)
class NormAndBias(FreezingPolicy):
    """Train the normalisation layers' scales and shifts and the other layers' biases, no more.

    `train` narrows it to all biases (BitFit: Ben Zaken et al. 2021, arXiv 2106.10199) or to the
    normalisation layers (Frankle et al. 2020, arXiv 2003.00152, there on random weights). The
    running statistics of a pretrained batch norm are no parameters and stay as they were.
    """

    name = "norm-and-bias"
    excludes = frozenset({"random", "fused"})

    train: str = Choice("both", ("both", "norms", "biases"))

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        norm = parameter.is_norm and self.train != "biases"
        return norm or (parameter.is_bias and self.train != "norms")
