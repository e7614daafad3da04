"""Fusion of the features of several stages."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from automl_xfer.components import Choice, Head, Int

from .block_classifiers import BlockClassifiers
from .logistic_regression import LogisticRegressionHead
from .stacking import learn_balance


@dataclass(frozen=True)
class StageFusionHead(Head):
    """Classify by the features of the backbone's last `stages` stages, not the last one's alone.

    concatenate: one logistic regression on all of them. average: one per stage; the score is the
    mean of their log-probabilities. learned: Σ_b a_b log p_b, a = softmax(θ), θ the minimum of
    Σ_i w_i CE_i + ½‖θ‖² on held-out folds. The idea: Evci et al. 2022, Head2Toe, arXiv 2201.03529,
    which selects among all layers' features by a group lasso. `widths` is the engine's to set: an
    alignment that maps the features to another width leaves one block.
    """

    name = "stage-fusion"
    requires = frozenset({"fitted_head", "stages"})
    excludes = frozenset({"fused", "feature_length"})  # each block is scaled to one length
    provides = frozenset({"stage_features"})
    complexity = 2

    stages: int = Int(3, low=2, high=4)
    combine: str = Choice("concatenate", ("concatenate", "average", "learned"))
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON has lists
        super().__post_init__()

    @property
    def stages_read(self) -> int:
        return self.stages

    def on_stages(self, widths: tuple[int, ...]) -> "StageFusionHead":
        return replace(self, widths=widths)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        if self.combine == "concatenate":
            return nn.Linear(feature_dim, num_classes)
        blocks = self.widths if sum(self.widths) == feature_dim else (feature_dim,)
        return BlockClassifiers(blocks, num_classes, learned=self.combine == "learned")

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> nn.Module:
        head = LogisticRegressionHead()
        module = self.build(features.shape[1], num_classes)
        if not isinstance(module, BlockClassifiers):
            return head.fit(features, labels, num_classes, sample_weight, groups)
        blocks = list(features.detach().float().cpu().split(module.widths, dim=1))
        y = labels.cpu()
        weight = torch.ones(len(y)) if sample_weight is None else sample_weight.cpu()
        group = torch.arange(len(y)) if groups is None else groups.cpu()
        heads = [head] * len(blocks)
        with torch.no_grad():
            if self.combine == "learned":
                heads = [head.tuned(block, y, weight, group) for block in blocks]
                module.balance.copy_(learn_balance(heads, blocks, y, weight, group))
            for layer, each, block in zip(module.layers, heads, blocks, strict=True):
                layer.load_state_dict(each.fit(block, y, num_classes, weight, group).state_dict())
        return module.to(features.device)
