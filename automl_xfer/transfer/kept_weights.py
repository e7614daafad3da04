"""Trained weights by all that decides them: what was trained once need not be trained again."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from automl_xfer import __version__
from automl_xfer.components import StagedModel, Strategy
from automl_xfer.transfer.adapting import adapts_model
from automl_xfer.transfer.cache_folder import CacheFolder
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import model_keys
from automl_xfer.transfer.fit import FittedStrategy, shared_prefix
from automl_xfer.transfer.frozen_features import head_for, read_stages
from automl_xfer.transfer.model import TransferModel, package_key
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.pretrain import starting_backbone

_SHARE_OF_LIMIT = 0.01
"""One fit may take this share of the cache folder: larger ones would push out what serves more."""

_SECONDS = "seconds"


@dataclass(frozen=True)
class KeptWeights:
    """Where a fit's weights are kept: strategy, code, images, labels and seed decide the name.

    Only what training changed is written, in 32 bit. `digest` leaves the starting weights out, so
    that who has not loaded them can ask whether there is anything.
    """

    cache: CacheFolder
    digest: str

    @classmethod
    def of(
        cls, strategy: Strategy, parts: TrainingParts, names: tuple[str, ...], context: FitContext
    ) -> "KeptWeights | None":
        """None for what is not kept: frozen strategies, and those that do not start pretrained.

        `parts` are those before a selection of sources, whose names are `names`. What is adapted
        once more after training is not kept either.
        """
        pretrained = strategy.backbone.initialisation == "pretrained"
        if strategy.frozen or not pretrained or adapts_model(strategy.alignment):
            return None
        modules = {type(component).__module__ for component in strategy.components().values()}
        code = [__version__, torch.__version__, package_key(__name__)]
        code += [package_key(module) for module in sorted(modules)]
        run = [context.device, str(context.seed), np.dtype(context.stage_dtype).str, *names]
        digest = hashlib.sha256("/".join([strategy.to_json(), *code, *run]).encode())
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
        start = _start(strategy, parts, context)
        path = self._path(start)
        try:
            with safe_open(path, "pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                seconds = float(file.metadata()[_SECONDS])
            os.utime(path)  # read now: among the last to be deleted
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        backbone = read_stages(strategy, starting_backbone(strategy.backbone, parts, context))
        head = head_for(strategy, backbone).build(backbone.feature_dim, parts.num_classes)
        model = TransferModel(backbone, head)
        model.load_state_dict({**model.state_dict(), **state})
        model.requires_grad_(False).to(context.device)
        model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        prefix = shared_prefix(strategy, context, model)
        return FittedStrategy(model, context.device, prefix=prefix, spared=seconds)

    def write(
        self,
        fitted: FittedStrategy,
        strategy: Strategy,
        parts: TrainingParts,
        context: FitContext,
        seconds: float,
    ) -> None:
        """Keep what training changed and how long it took; nothing of a large model."""
        start = _start(strategy, parts, context)
        before = {f"backbone.{name}": value for name, value in start.state_dict().items()}
        state = {
            name: value.cpu().contiguous()
            for name, value in fitted.model.state_dict().items()
            if name not in before or not torch.equal(value.cpu(), before[name].cpu())
        }
        size = sum(value.nbytes for value in state.values())
        if size > _SHARE_OF_LIMIT * self.cache.limit:
            return
        told = {_SECONDS: f"{seconds:.3f}"}
        with suppress(OSError):  # a full disk
            self.cache.write(self._path(start), lambda path: save_file(state, path, told))

    def _path(self, start: StagedModel) -> Path:
        key = hashlib.sha256("/".join(model_keys(start)).encode()).hexdigest()[:16]
        return self.cache.directory / f"weights-{self.digest}-{key}.safetensors"


def _start(strategy: Strategy, parts: TrainingParts, context: FitContext) -> StagedModel:
    """The backbone before training, not to be changed."""
    backbone = starting_backbone(strategy.backbone, parts, context, shared=True)
    return read_stages(strategy, backbone)


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
    first.prefix = None  # others may have trained stages that the first left as they were
    first.spared = sum(fitted.spared for fitted in fits)
    return first


def _mean(states: list[dict[str, Tensor]], name: str) -> Tensor:
    values = [state[name] for state in states]
    if not values[0].is_floating_point():
        return values[0]
    mean: Tensor = torch.stack([value.double() for value in values]).mean(0).to(values[0].dtype)
    return mean
