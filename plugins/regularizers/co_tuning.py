"""Co-Tuning."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import Batch, Float, Regularizer, StagedModel
from automl_xfer.errors import ComponentError

from .precision import widened


@dataclass(frozen=True)
class CoTuning(Regularizer):
    """Keep the classifier of the pretraining in use, with labels translated for it.

    weight · mean_i −Σ_s q_is log softmax(C f_i)_s with C that classifier, which trains too, f_i the
    features, q_i = Σ_t y_it p(s|t) and p(s|t) the mean of softmax(C f) over the starting features
    of class t (over all of them for a class without an image). You et al. 2020, "Co-Tuning for
    transfer learning" (NeurIPS): its direct way to learn p(s|t), without calibration; there 2.3.
    """

    name = "co-tuning"
    requires = frozenset({"trainable", "classifier"})
    excludes = frozenset({"stage_features"})  # the classifier reads the pooled features alone
    complexity = 3

    weight: float = Float(1.0, low=0.1, high=10.0, log=True)

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> nn.Module:
        if not isinstance(backbone, StagedModel) or backbone.classifier is None:
            raise ComponentError(
                "regularizer 'co-tuning' needs a backbone with the classifier of its pretraining, "
                "and this one brings none; use another regularizer or backbone"
            )
        device = backbone.mean.device
        features, labels = (values.to(device) for values in labelled())
        with torch.no_grad():
            num_classes = head(features[:1]).shape[1]
        classifier = backbone.classifier().to(device)
        relation = category_relation(classifier, features, labels, num_classes)
        return _CoTuningLoss(classifier, relation, self.weight)


@torch.no_grad()
def category_relation(
    classifier: nn.Module, features: Tensor, labels: Tensor, num_classes: int
) -> Tensor:
    """p(s|t) (K, S): the classifier's mean probabilities on each class's features (N, D)."""
    probabilities = widened(classifier(features)).softmax(1)
    counts = torch.bincount(labels, minlength=num_classes)
    sums = probabilities.new_zeros(num_classes, probabilities.shape[1])
    sums.index_add_(0, labels, probabilities)
    relation = sums / counts.clamp_min(1)[:, None]
    relation[counts == 0] = probabilities.mean(0)
    return relation


class _CoTuningLoss(nn.Module):
    def __init__(self, classifier: nn.Module, relation: Tensor, weight: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.weight = weight
        self.relation: Tensor
        self.register_buffer("relation", relation)

    def forward(self, batch: Batch) -> Tensor:
        expected = batch.labels.to(self.relation) @ self.relation
        surprise = -widened(self.classifier(batch.features)).log_softmax(1)
        return self.weight * (expected * surprise).sum(1).mean()
