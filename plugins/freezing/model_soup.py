"""A mean of the weights of several fine-tuned models."""

import json
from dataclasses import dataclass

from automl_xfer.components import FreezingPolicy, ParameterInfo


@dataclass(frozen=True)
class ModelSoup(FreezingPolicy):
    """The mean of the weights that several strategies trained from one start (model soup).

    As fast as one of them. `ingredients` is the search's to set, at its end: strategies as JSON,
    alike but for freezing, augmentation, regularizer and optimisation. Wortsman et al. 2022, arXiv
    2203.05482 (uniform soup).
    """

    name = "model-soup"
    requires = frozenset({"ingredients"})
    excludes = frozenset({"random", "fused"})
    averages = True
    complexity = 4

    ingredients: str = ""

    @property
    def label(self) -> str:
        return (
            f"{self.name} of {len(json.loads(self.ingredients))}" if self.ingredients else self.name
        )

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return True  # by one ingredient or another
