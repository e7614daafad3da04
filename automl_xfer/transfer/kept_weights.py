"""Trained weights by all that decides them: what was trained once need not be trained again."""

import functools
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from automl_xfer.components import StagedModel, Strategy
from automl_xfer.transfer.adapting import adapts_model
from automl_xfer.transfer.cache_folder import CacheFolder
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import model_keys
from automl_xfer.transfer.fit import FittedStrategy, shared_prefix
from automl_xfer.transfer.frozen_features import head_for, read_stages
from automl_xfer.transfer.model import TransferModel, tree_key
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.pretrain import starting_backbone

_SHARE_OF_LIMIT = 0.02
"""One fit may take this share of the cache folder: larger ones would push out what serves more."""

_SECONDS, _MICRO_BATCHES = "seconds", "micro_batches"

_PACKAGES = ("torch", "torchvision", "timm", "peft", "numpy", "scipy", "scikit-learn", "POT")
_LIBRARIES = {"torch", "torchvision", "timm", "peft", "numpy", "sklearn", *sys.stdlib_module_names}

Classes = Mapping[str, Mapping[str, type]]
"""Axis -> name -> class."""


@dataclass(frozen=True)
class KeptWeights:
    """Where a fit's weights are kept: strategy, code, images, labels and seed decide the name.

    Only what training changed is written. `digest` leaves the starting weights out, so that who
    has not loaded them can ask whether there is anything.
    """

    cache: CacheFolder
    digest: str

    @classmethod
    def of(
        cls,
        strategy: Strategy,
        parts: TrainingParts,
        names: tuple[str, ...],
        context: FitContext,
        classes: Classes,
    ) -> "KeptWeights | None":
        """None for what is not kept: frozen strategies, and those that do not start pretrained.

        `parts` are those before a selection of sources, whose names are `names`. What is adapted
        once more after training is not kept either. `classes` are the catalog's, whose code counts
        whole: a strategy may name others as its teachers.
        """
        pretrained = strategy.backbone.initialisation == "pretrained"
        if strategy.frozen or not pretrained or adapts_model(strategy.alignment):
            return None
        run = [context.device, str(context.seed), np.dtype(context.stage_dtype).str, *names]
        run += [str(context.micro_batches), str(context.compiler)]
        digest = hashlib.sha256("/".join([strategy.to_json(), *_code(classes), *run]).encode())
        for piece in _pieces(parts):
            digest.update(piece)
        return cls(context.cache, digest.hexdigest()[:32])

    def exists(self) -> bool:
        """Whether there are such weights, from whatever start."""
        return any(self.cache.directory.glob(f"weights-{self.digest}-*.safetensors"))

    def read(
        self, strategy: Strategy, parts: TrainingParts, context: FitContext
    ) -> FittedStrategy | None:
        """The strategy as it was trained on `parts`; None where it is not there, or damaged."""
        path = self._path(_start(strategy, parts, context))
        try:
            with safe_open(path, "pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                told = file.metadata()
            seconds, micro_batches = float(told[_SECONDS]), int(told[_MICRO_BATCHES])
            os.utime(path)  # read now: among the last to be deleted
            model = _untrained(strategy, parts, context)
            model.load_state_dict({**model.state_dict(), **state})
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
            return None
        model.requires_grad_(False).to(context.device)
        model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        prefix = shared_prefix(strategy, context, model)
        return FittedStrategy(
            model, context.device, prefix=prefix, micro_batches=micro_batches, spared=seconds
        )

    def write(
        self,
        fitted: FittedStrategy,
        strategy: Strategy,
        parts: TrainingParts,
        context: FitContext,
        seconds: float,
    ) -> None:
        """Keep what training changed and how long it took; nothing of a large model.

        Nor where a fresh head has other weights than the trained one: it could not be read.
        """
        start = _start(strategy, parts, context)
        before = {f"backbone.{name}": value.cpu() for name, value in start.state_dict().items()}
        state = {
            name: value.cpu().contiguous()
            for name, value in fitted.model.state_dict().items()
            if name not in before or not torch.equal(value.cpu(), before[name])
        }
        size = sum(value.nbytes for value in state.values())
        fresh = head_for(strategy, start).build(start.feature_dim, parts.num_classes)
        told = {_SECONDS: f"{seconds:.3f}", _MICRO_BATCHES: str(fitted.micro_batches)}
        with suppress(OSError, SafetensorError):  # a full disk
            fits = size <= _SHARE_OF_LIMIT * self.cache.limit
            if fits and _shapes(fresh) == _shapes(fitted.model.head):
                path = self._path(start)
                self.cache.write(path, lambda temporary: save_file(state, temporary, told))

    def _path(self, start: StagedModel) -> Path:
        key = hashlib.sha256("/".join(model_keys(start)).encode()).hexdigest()[:16]
        return self.cache.directory / f"weights-{self.digest}-{key}.safetensors"


def _start(strategy: Strategy, parts: TrainingParts, context: FitContext) -> StagedModel:
    """The backbone before training, not to be changed."""
    backbone = starting_backbone(strategy.backbone, parts, context, shared=True)
    return read_stages(strategy, backbone)


def _untrained(strategy: Strategy, parts: TrainingParts, context: FitContext) -> TransferModel:
    """A model of the strategy's shape: the backbone before training, and any head."""
    backbone = read_stages(strategy, starting_backbone(strategy.backbone, parts, context))
    head = head_for(strategy, backbone).build(backbone.feature_dim, parts.num_classes)
    return TransferModel(backbone, head)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def _code(classes: Classes) -> list[str]:
    """Digests of all code that may take part in a fit, and the versions of what it calls."""
    made = {each for of_axis in classes.values() for each in of_axis.values()}
    modules = {base.__module__ for each in made for base in each.mro()} | {__name__}
    tops = {module: module.partition(".")[0] for module in modules}
    own = sorted(module for module, top in tops.items() if top not in _LIBRARIES)
    return [_versions(), *(tree_key(module) for module in own)]


@functools.cache
def _versions() -> str:
    return " ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)


def _pieces(parts: TrainingParts) -> Iterator[bytes]:
    """All that a fit may see."""
    yield str(parts.num_classes).encode()
    groups: tuple[tuple[Part, ...], ...] = (
        () if parts.target is None else (parts.target,),
        () if parts.source is None else (parts.source,),
        parts.unlabelled,
        parts.adapting,
    )
    for group in groups:
        yield b"|"
        for part in group:
            yield part.image_set.key.encode()
            for array in (part.indices, part.labels, part.domains, part.weights):
                yield b"-" if array is None else np.ascontiguousarray(array).tobytes()


def averaged(fits: list[FittedStrategy]) -> FittedStrategy:
    """One model whose weights and buffers are the means of those of several, made in the first.

    All must be of one architecture. Wortsman et al. 2022, arXiv 2203.05482 (model soups).
    """
    first = fits[0]
    states = [fitted.model.state_dict() for fitted in fits]
    first.model.load_state_dict({name: _mean(states, name) for name in states[0]})
    prefixes = [fitted.prefix for fitted in fits]
    shared = min((each.boundary if each else 0) for each in prefixes)
    first.prefix = replace(first.prefix, boundary=shared) if first.prefix and shared else None
    first.spared = sum(fitted.spared for fitted in fits)
    first.micro_batches = max(fitted.micro_batches for fitted in fits)
    return first


def _mean(states: list[dict[str, Tensor]], name: str) -> Tensor:
    values = [state[name] for state in states]
    if not values[0].is_floating_point():
        return values[0]
    mean: Tensor = torch.stack([value.double() for value in values]).mean(0).to(values[0].dtype)
    return mean
