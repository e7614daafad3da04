"""Multilayer perceptron."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from automl_xfer.components import Choice, Head

from .linear_layer import ABSENT_SCORE
from .row_space import row_space

FEWEST_STEPS, MOST_STEPS, PASSES = 100, 200, 10
BATCH = 64
RATE = 5e-3
DECAY = 1e-2


@dataclass(frozen=True)
class MLPHead(Head):
    """One hidden layer: W₂ dropout(max(W₁ x + b₁, 0)) + b₂.

    On features that do not change it is fitted here, so that dropout takes part, which a
    full-batch L-BFGS cannot have: 100 to 200 AdamW steps on 64 samples drawn by their weights,
    rates up and down by one cycle, on centred features divided by the root of their mean variance,
    which are then folded into W₁ and b₁. Of fewer samples than dimensions the features are first
    turned into the directions in which the samples differ: in others there is nothing to learn,
    and W₁ would keep its random start there. It follows torch's seed. Dropout: Srivastava et al.
    2014.
    """

    name = "mlp"
    complexity = 2

    width: int = Choice(256, (64, 256, 1024))
    dropout: float = Choice(0.3, (0.0, 0.3, 0.6))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(feature_dim, self.width),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.width, num_classes),
        )

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> nn.Module:
        x = features.detach().double()
        weight = x.new_ones(len(x)) if sample_weight is None else sample_weight.to(x)
        mean = x.mean(0)
        turned, basis = _turned(x - mean)
        scale = turned.var(0, correction=0).mean().sqrt().clamp_min(1e-12)
        module = self.build(turned.shape[1], num_classes).to(x.device)
        _train(module, (turned / scale).float(), labels, weight)
        module[0] = _folded(module[0], mean.float(), scale.float(), basis)
        absent = torch.bincount(labels, minlength=num_classes) == 0
        with torch.no_grad():
            module[-1].weight[absent] = 0.0
            module[-1].bias[absent] = ABSENT_SCORE
        return module.eval()


@torch.enable_grad()
def _train(module: nn.Module, x: Tensor, labels: Tensor, weight: Tensor) -> None:
    """Minimise the cross-entropy of samples drawn in proportion to their weights."""
    steps = min(max(FEWEST_STEPS, PASSES * len(x) // BATCH), MOST_STEPS)
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for rows in torch.multinomial(weight, steps * BATCH, replacement=True).view(steps, BATCH):
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(module(x[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()


def _turned(centred: Tensor) -> tuple[Tensor, Tensor | None]:
    """Samples (N, R) in the directions (D, R), orthonormal, in which they differ, where N < D."""
    coordinates, basis = row_space(centred.cpu().numpy())
    if basis is None:
        return centred, None
    return torch.from_numpy(coordinates).to(centred), torch.from_numpy(basis.T).to(centred).float()


@torch.no_grad()
def _folded(layer: nn.Linear, mean: Tensor, scale: Tensor, basis: Tensor | None) -> nn.Linear:
    """A layer on (x − mean)/scale, turned into the basis if there is one, as one on x."""
    weight = layer.weight if basis is None else layer.weight @ basis.T
    whole = nn.Linear(len(mean), layer.out_features).to(mean)
    whole.weight.copy_(weight / scale)
    whole.bias.copy_(layer.bias - whole.weight @ mean)
    return whole
