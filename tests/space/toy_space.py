"""A small space of toy components, and draws from it."""

from dataclasses import dataclass

import optuna
from torch import nn

from automl_xfer.components import (
    AlignmentMethod,
    AugmentationPolicy,
    Backbone,
    Choice,
    Float,
    FreezingPolicy,
    Head,
    Int,
    Optimization,
    Regularizer,
    SourceSelection,
    Strategy,
)
from automl_xfer.space.compose import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class ToyBackbone(Backbone):
    name = "toy"
    model: str = "small"
    pretrained: bool = True

    @classmethod
    def candidates(cls, request):
        return [cls()]

    def build(self):
        raise NotImplementedError

    def facts(self):
        return frozenset({"pretrained", "batch_norm"} if self.pretrained else {"random"})

    @property
    def label(self):
        return self.model


@dataclass(frozen=True)
class Probe(FreezingPolicy):
    name = "probe"
    excludes = frozenset({"random"})
    provides = frozenset({"frozen"})
    complexity = 0

    def is_trainable(self, parameter, epoch):
        return False


@dataclass(frozen=True)
class Deep(FreezingPolicy):
    name = "deep"
    depth: float = Float(0.5, low=0.0, high=1.0)

    def is_trainable(self, parameter, epoch):
        return True

    @property
    def label(self):
        return f"deep {self.depth}"


@dataclass(frozen=True)
class NoAlignment(AlignmentMethod):
    name = "none"
    requires = frozenset()
    complexity = 0


@dataclass(frozen=True)
class Adversary(AlignmentMethod):
    name = "adversary"
    requires = frozenset({"source", "trainable"})
    weight: float = Float(0.1, low=1e-3, high=10.0, log=True)
    layers: int = Int(2, low=1, high=4)


@dataclass(frozen=True)
class Statistics(AlignmentMethod):
    name = "statistics"
    requires = frozenset({"source", "batch_norm"})


@dataclass(frozen=True)
class Solved(Head):
    name = "solved"
    norm: str = Choice("l2", ("l2", "none"))
    trace: bool = False

    def build(self, feature_dim, num_classes):
        return nn.Linear(feature_dim, num_classes)


@dataclass(frozen=True)
class EverySource(SourceSelection):
    name = "every"
    requires = frozenset()
    complexity = 0

    def weights(self, sources, num_classes):
        return [1.0] * len(sources)


@dataclass(frozen=True)
class NoAugmentation(AugmentationPolicy):
    name = "none"
    requires = frozenset()
    complexity = 0


@dataclass(frozen=True)
class Crop(AugmentationPolicy):
    name = "crop"
    size: float = Float(0.5, low=0.1, high=1.0)


@dataclass(frozen=True)
class NoRegularizer(Regularizer):
    name = "none"
    requires = frozenset()


@dataclass(frozen=True)
class ClosedForm(Optimization):
    name = "closed-form"
    requires = frozenset({"frozen"})
    complexity = 0

    def build(self, groups):
        raise NotImplementedError


@dataclass(frozen=True)
class Steps(Optimization):
    name = "steps"
    epochs: int = Int(10, low=5, high=60, log=True)
    learning_rate: float = Float(1e-3, low=1e-5, high=1e-1, log=True)
    balance_classes: bool = Choice(False, (False, True))

    def build(self, groups):
        raise NotImplementedError


CLASSES = {
    "freezing": {"deep": Deep, "probe": Probe},
    "alignment": {"adversary": Adversary, "none": NoAlignment, "statistics": Statistics},
    "sources": {"every": EverySource},
    "head": {"solved": Solved},
    "augmentation": {"crop": Crop, "none": NoAugmentation},
    "regularizer": {"none": NoRegularizer},
    "optimization": {"closed-form": ClosedForm, "steps": Steps},
}
SMALL, SCRATCH = ToyBackbone("small"), ToyBackbone("bare", pretrained=False)
FACTS = frozenset({"target_labels", "source"})


def space(choices=None, facts=FACTS, backbones=(SMALL, SCRATCH)) -> Space:
    return Space(CLASSES, backbones, facts, choices or {})


def draws(made: Space, n: int, seed: int = 0) -> list[tuple[Strategy, optuna.Trial]]:
    """`n` random draws with what was drawn."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found = []
    for _ in range(n):
        trial = study.ask()
        found.append((made.suggest(trial), trial))
    return found


def replayed(made: Space, parameters: dict, storage: str | None = None) -> tuple[Strategy, dict]:
    """What `suggest` returns for enqueued parameters, and what it drew."""
    study = optuna.create_study(storage=storage)
    study.enqueue_trial(parameters)
    trial = study.ask()
    return made.suggest(trial), trial.params
