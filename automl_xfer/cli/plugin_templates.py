"""What `plugins new` writes: the packaging, and one small component for each axis."""

from dataclasses import dataclass

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "automl-xfer-$name"
version = "0.1.0"
description = "The $kind $name for automl-xfer."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["automl-xfer"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points.automl_xfer]
$name = "$module"

[tool.setuptools]
packages = ["$module"]
"""

README = """\
# automl-xfer-$name

The $kind `$name` for [automl-xfer](https://pypi.org/project/automl-xfer/).

```
pip install -e '.[test]'
automl-xfer plugins show $kind/$name
automl-xfer plugins check $kind/$name
pytest
```

`$module/component.py` holds the component, `$module/__init__.py` the hook that registers it.
"""

HOOKS = '''\
"""Registers the $kind `$name`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_xfer import hookimpl

if TYPE_CHECKING:
    from automl_xfer.components import $base


@hookimpl
def $hook() -> list[type[$base]]:
    from .component import $made  # imports torch: only when it is asked for

    return [$made]
'''

TEST = '''\
"""The component keeps the rules of its axis; add tests of its numbers here."""

from automl_xfer.testing import parametrize_with_checks

from $module.component import $made


@parametrize_with_checks([$made])
def test_it_conforms(component, check):
    check(component)
'''

ALIGNMENT = '''\
"""The alignment method `$name`."""

from dataclasses import dataclass

from automl_xfer.components import AlignmentMethod, Batch, Float
from torch import Tensor, nn


@dataclass(frozen=True)
class $made(AlignmentMethod):
    """Pull the mean features of source and target together: weight * |m_s - m_t|^2 / D."""

    name = "$name"
    requires = frozenset({"source", "trainable"})

    weight: float = Float(1.0, low=0.1, high=10.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _Loss(self.weight)


class _Loss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        difference = source.features.float().mean(0) - target.features.float().mean(0)
        return self.weight * difference.square().mean()
'''

AUGMENTATION = '''\
"""The augmentation policy `$name`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from automl_xfer.components import AugmentationPolicy, Float
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class $made(AugmentationPolicy):
    """Make each image brighter or darker by a factor between 1 - strength and 1 + strength."""

    name = "$name"

    strength: float = Float(0.3, low=0.05, high=0.8)

    def transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        def vary(images: Tensor) -> Tensor:
            draws = torch.rand(len(images), 1, 1, 1).to(images.device)
            varied = images.float() * (1 + self.strength * (2 * draws - 1))
            resized = interpolate(varied, size=(image_size, image_size), mode="bilinear")
            return resized.clamp(0, 255).to(torch.uint8)

        return vary
'''

BACKBONE = '''\
"""The backbone `$name`."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Backbone, BackboneRequest, StagedModel
from torch import nn


@dataclass(frozen=True)
class $made(Backbone):
    """Three stages of strided 3x3 convolution, batch norm and ReLU; starts from random weights."""

    name = "$name"
    initialisation = "random"

    width: int = 32

    @classmethod
    def candidates(cls, request: BackboneRequest) -> Sequence[Backbone]:
        return [cls()] if not request.patterns or cls.name in request.patterns else []

    def build(self, *, pretrained: bool = True) -> StagedModel:
        widths = (3, self.width, 2 * self.width, 4 * self.width)
        stages = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(widths, widths[1:])
        ]
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return StagedModel(stages, pool, widths[-1], mean=[0.5] * 3, std=[0.25] * 3)

    def facts(self) -> frozenset[str]:
        return frozenset({"random", "batch_norm", "stages"})
'''

FREEZING = '''\
"""The freezing policy `$name`."""

from dataclasses import dataclass

from automl_xfer.components import FreezingPolicy, Int, ParameterInfo


@dataclass(frozen=True)
class $made(FreezingPolicy):
    """Train the last stages of the backbone only, the normalisation layers everywhere."""

    name = "$name"
    requires = frozenset({"stages"})
    excludes = frozenset({"random", "fused"})

    stages: int = Int(1, low=1, high=4)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return parameter.is_norm or parameter.stage >= parameter.n_stages - self.stages
'''

HEAD = '''\
"""The head `$name`."""

from dataclasses import dataclass

from automl_xfer.components import Choice, Head
from torch import nn


@dataclass(frozen=True)
class $made(Head):
    """Two linear layers with a ReLU between them, trained by gradient steps."""

    name = "$name"
    excludes = frozenset({"frozen"})  # it has no closed form

    hidden: int = Choice(256, (64, 256, 1024))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        first, last = nn.Linear(feature_dim, self.hidden), nn.Linear(self.hidden, num_classes)
        return nn.Sequential(first, nn.ReLU(), last)
'''

OPTIMIZATION = '''\
"""The optimization `$name`."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Choice, Float, Int, Optimization, ParameterGroup
from torch.optim import Optimizer, RMSprop


@dataclass(frozen=True)
class $made(Optimization):
    """RMSprop: gradients divided by the root of their mean square. Hinton 2012."""

    name = "$name"

    epochs: int = Int(30, low=5, high=60, log=True)
    batch_size: int = Choice(32, (16, 32, 64))
    learning_rate: float = Float(3e-4, low=1e-5, high=3e-3, log=True)

    def build(self, groups: Sequence[ParameterGroup]) -> Optimizer:
        rated = [
            {"params": list(group.parameters), "lr": self.learning_rate * group.scale}
            for group in groups
        ]
        return RMSprop(rated, lr=self.learning_rate)
'''

REGULARIZER = '''\
"""The regularizer `$name`."""

from collections.abc import Callable
from dataclasses import dataclass

from automl_xfer.components import Batch, Float, Regularizer
from torch import Tensor, nn


@dataclass(frozen=True)
class $made(Regularizer):
    """Keep predictions unsure: -weight * entropy. Pereyra et al. 2017, arXiv 1701.06548."""

    name = "$name"

    weight: float = Float(0.1, low=0.01, high=1.0, log=True)

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> Callable[[Batch], Tensor]:
        return self._term

    def _term(self, batch: Batch) -> Tensor:
        logarithms = batch.logits.float().log_softmax(1)
        return self.weight * (logarithms.exp() * logarithms).sum(1).mean()
'''

SOURCES = '''\
"""The choice of sources `$name`."""

from collections.abc import Sequence
from dataclasses import dataclass

from automl_xfer.components import Float, SourceDomain, SourceSelection


@dataclass(frozen=True)
class $made(SourceSelection):
    """Weigh each source by 1 / (softness + its distance to the target)."""

    name = "$name"

    softness: float = Float(0.1, low=0.01, high=1.0, log=True)

    def weights(self, sources: Sequence[SourceDomain], num_classes: int) -> Sequence[float]:
        return [1 / (self.softness + max(source.distance, 0.0)) for source in sources]
'''

TRANSFERABILITY = '''\
"""The transferability estimator `$name`."""

from dataclasses import dataclass

from automl_xfer.components import TransferabilityEstimator
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class $made(TransferabilityEstimator):
    """Share of the features' variance that lies between the class means, 0..1."""

    name = "$name"
    requires = frozenset({"target_labels"})

    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        features = features.double()
        member = one_hot(labels).double()
        means = member.T @ features / member.sum(0).clamp_min(1)[:, None]
        centre = features.mean(0)
        between = (means[labels] - centre).square().sum()
        return float(between / (features - centre).square().sum().clamp_min(1e-12))
'''

VALIDATOR = '''\
"""The validator `$name`."""

from dataclasses import dataclass

from automl_xfer.components import UnlabelledPredictions, Validator


@dataclass(frozen=True)
class $made(Validator):
    """Mean probability of the predicted class on the target."""

    name = "$name"

    def score(self, predictions: UnlabelledPredictions) -> float:
        return float(predictions.target.max(axis=1).mean())
'''


@dataclass(frozen=True)
class KindTemplate:
    """One axis: the hook, the abstract class and a component's file."""

    hook: str
    base: str
    component: str


KINDS = {
    "alignment": KindTemplate("register_alignment_methods", "AlignmentMethod", ALIGNMENT),
    "augmentation": KindTemplate(
        "register_augmentation_policies", "AugmentationPolicy", AUGMENTATION
    ),
    "backbone": KindTemplate("register_backbones", "Backbone", BACKBONE),
    "freezing": KindTemplate("register_freezing_policies", "FreezingPolicy", FREEZING),
    "head": KindTemplate("register_heads", "Head", HEAD),
    "optimization": KindTemplate("register_optimizations", "Optimization", OPTIMIZATION),
    "regularizer": KindTemplate("register_regularizers", "Regularizer", REGULARIZER),
    "sources": KindTemplate("register_sources", "SourceSelection", SOURCES),
    "transferability": KindTemplate(
        "register_transferability_estimators", "TransferabilityEstimator", TRANSFERABILITY
    ),
    "validator": KindTemplate("register_validators", "Validator", VALIDATOR),
}
"""Axis -> what `plugins new` writes for it."""
