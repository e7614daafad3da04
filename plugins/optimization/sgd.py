"""Stochastic gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import SGD as TorchSGD  # noqa: N811
from torch.optim import Optimizer

from automl_xfer.components import Choice, Float, Int, Optimization, ParameterGroup

MOMENTUM = 0.9


@dataclass(frozen=True)
class SGD(Optimization):
    """Stochastic gradient descent with Nesterov momentum 0.9 and coupled weight decay.

    The backbone learns at a tenth of the head's rate by default, as is usual in transfer.
    """

    name = "sgd"

    epochs: int = Int(30, low=5, high=60, log=True)
    batch_size: int = Choice(32, (16, 32, 64))
    learning_rate: float = Float(1e-2, low=1e-4, high=0.1, log=True)
    weight_decay: float = Float(5e-4, low=1e-6, high=1e-2, log=True)
    backbone_scale: float = Float(0.1, low=0.01, high=1.0, log=True)
    layer_decay: float = Float(1.0, low=0.65, high=1.0)
    balance_classes: bool = Choice(False, (False, True))

    def build(self, groups: Sequence[ParameterGroup]) -> Optimizer:
        return TorchSGD(
            [
                {"params": list(group.parameters), "lr": self.learning_rate * group.scale}
                for group in groups
            ],
            lr=self.learning_rate,
            momentum=MOMENTUM,
            nesterov=True,
            weight_decay=self.weight_decay,
            fused=True,
        )
