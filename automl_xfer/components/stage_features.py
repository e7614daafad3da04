"""A backbone read at several stages, for heads that want more than the pooled features."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from automl_xfer.components.backbone import StagedModel

_PROBE_SIZE = 64
"""Side of the image that tells the widths of the stages."""


class StageFeatures(StagedModel):
    """The channel means of a model's last stages side by side, the pooled features last.

    Each block is scaled to unit mean square, so that all are equally loud. It shares the modules
    of `model`; `widths` are the blocks'.
    """

    def __init__(self, model: StagedModel, n_read: int) -> None:
        mean, std = model.mean.flatten().tolist(), model.std.flatten().tolist()
        super().__init__([], nn.Identity(), model.feature_dim, mean=mean, std=std)
        self.stages, self.pool = model.stages, model.pool
        self.mean, self.std = model.mean, model.std
        self._plain = [model]  # in a list, as all that it holds is this module's already
        self.read: Tensor
        self.register_buffer("read", torch.tensor(min(n_read, len(model.stages))))
        self.widths = self._measure()
        self.feature_dim = sum(self.widths)

    @property
    def first_read(self) -> int:
        """Index of the first stage whose output is among the features."""
        return len(self.stages) - self.n_read

    @property
    def n_read(self) -> int:
        """Of how many stages the output is among the features."""
        return int(self.read)

    def on(self, model: StagedModel) -> "StageFeatures":
        """The same reading of another model."""
        return StageFeatures(model, self.n_read).to(model.mean.device).eval()

    @property
    def plain(self) -> StagedModel:
        """The model without the reading, with the same modules."""
        return self._plain[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "StageFeatures":
        """Move `plain` along: its stages are these, and so are its mean and deviation."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.plain.mean, self.plain.std = self.mean, self.std
        return self

    def forward(self, images: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """As `StagedModel.forward`; `start` must not lie beyond `first_read`."""
        if stop is not None:
            return super().forward(images, start, stop)
        run = super().forward
        earlier, pooled = _blocks(run, len(self.stages), images, self.first_read, start)
        return torch.cat([*earlier, _loud(pooled)], dim=1)

    def of_readings(self, readings: Tensor) -> Tensor:
        """What `forward` gives, from what `Readings` of as many stages or more give."""
        width = self.widths[-1]
        earlier, pooled = readings[:, -self.feature_dim : -width], readings[:, -width:]
        return torch.cat([earlier, _loud(pooled)], dim=1)

    @torch.no_grad()
    def _measure(self) -> tuple[int, ...]:
        """Widths of the blocks, from one small image."""
        modes = [(module, module.training) for module in self.stages.modules()]
        self.stages.eval()
        device, run = self.plain.mean.device, super().forward
        images = torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE, device=device)
        earlier, pooled = _blocks(run, len(self.stages), images, self.first_read)
        for module, mode in modes:
            module.training = mode
        return tuple(block.shape[1] for block in (*earlier, pooled))


class Readings(nn.Module):
    """All that any reading of a backbone's last `n_read` stages, or fewer, takes, in one pass.

    Images (N, 3, H, W), normalised -> (N, E + D): the earlier stages' blocks as `StageFeatures`
    has them, then the pooled features as the backbone alone gives them.
    """

    def __init__(self, model: StagedModel, n_read: int) -> None:
        super().__init__()
        self.model, self.n_read = model, n_read

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images -> all blocks."""
        n_stages = len(self.model.stages)
        first_read = max(0, n_stages - self.n_read)
        earlier, pooled = _blocks(self.model, n_stages, images, first_read)
        return torch.cat([*earlier, pooled.float()], dim=1)


def _blocks(
    run: Callable[..., Tensor], n_stages: int, images: Tensor, first_read: int, start: int = 0
) -> tuple[list[Tensor], Tensor]:
    """Blocks (N, C_i) of stage `first_read` to the last but one, and the pooled features (N, D).

    `run` is called as `StagedModel.forward`. A stage that puts out something else than maps,
    tokens or vectors of its N images has no block.
    """
    blocks, n, last = [], len(images), max(n_stages - 1, 0)
    for place in range(start, last):
        images = run(images, place, place + 1)
        if place >= first_read and len(images) == n and images.dim() in (2, 3, 4):
            blocks.append(_loud(channel_means(images)))
    return blocks, run(images, last)


def channel_means(activations: Tensor) -> Tensor:
    """(N, C) means of an (N, C, H, W) or (N, H, W, C) square map, or of (N, L, C) tokens."""
    if activations.dim() == 2:
        return activations
    if activations.dim() == 3:
        return activations.mean(1)
    square_last = activations.shape[2] == activations.shape[3]
    return activations.mean((2, 3) if square_last else (1, 2))


def _loud(block: Tensor) -> Tensor:
    return nn.functional.normalize(block.float(), dim=1) * math.sqrt(block.shape[1])
