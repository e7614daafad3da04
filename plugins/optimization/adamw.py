"""AdamW."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import AdamW as TorchAdamW
from torch.optim import Optimizer

from automl_xfer.components import Choice, Float, Int, Optimization, ParameterGroup


@dataclass(frozen=True)
class AdamW(Optimization):
    """Adam with decoupled weight decay. Loshchilov and Hutter 2019, arXiv 1711.05101."""

    name = "adamw"

    epochs: int = Int(30, low=5, high=60, log=True)
    batch_size: int = Choice(32, (16, 32, 64))
    learning_rate: float = Float(3e-4, low=1e-5, high=3e-3, log=True)
    weight_decay: float = Float(1e-2, low=1e-4, high=0.3, log=True)
    backbone_scale: float = Float(1.0, low=0.03, high=1.0, log=True)
    layer_decay: float = Float(1.0, low=0.65, high=1.0)
    balance_classes: bool = Choice(False, (False, True))

    def build(self, groups: Sequence[ParameterGroup]) -> Optimizer:
        return TorchAdamW(
            [
                {"params": list(group.parameters), "lr": self.learning_rate * group.scale}
                for group in groups
            ],
            weight_decay=self.weight_decay,
            fused=True,
        )
