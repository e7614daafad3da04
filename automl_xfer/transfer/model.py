"""TransferModel: backbone, optional feature map and head as one module."""

import functools
import hashlib
import sys
from collections.abc import Callable, Hashable
from itertools import chain
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from automl_xfer import __version__
from automl_xfer.components import StagedModel
from automl_xfer.components.freezing import FreezingPolicy, ParameterInfo
from automl_xfer.transfer.device import autocast

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


class TransferModel(nn.Module):
    """Images (N, 3, H, W), normalised -> logits (N, K)."""

    def __init__(
        self, backbone: StagedModel, head: nn.Module, feature_map: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_map = feature_map if feature_map is not None else nn.Identity()
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> mapped features (N, D)."""
        mapped: Tensor = self.feature_map(self.backbone(images))
        return mapped

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits


@functools.cache
def code_key(module: str) -> str:
    """Digest of the file behind a module: an edited one is another; empty if there is none."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path else ""


@functools.cache
def package_key(module: str) -> str:
    """Digest of a module and of those beside it in its package, which it may call."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None or not getattr(sys.modules[module], "__package__", None):
        return code_key(module)
    files = sorted(Path(path).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def tree_key(module: str) -> str:
    """Digest of every file of the top package that a module is of; of its own without one."""
    return _package_tree(module.partition(".")[0]) or code_key(module)


@functools.cache
def _package_tree(top: str) -> str:
    """Digest of every file of a package; empty for what is none."""
    path = getattr(sys.modules.get(top), "__file__", None)
    if path is None or Path(path).name != "__init__.py":
        return ""
    folder, digest = Path(path).parent, hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def weights_key(model: nn.Module) -> str:
    """Digest of all parameters and buffers and of the code that reads them.

    Equal keys mean equal functions: two architectures may take the same weights.
    """
    versions, key = _unchanging.get(model, (None, ""))
    if versions == _versions(model):
        return key
    files = sorted({code_key(type(module).__module__) for module in model.modules()})
    digest = hashlib.sha256(f"{__version__}/{model}/{files}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:24]


_unchanging: WeakKeyDictionary[nn.Module, tuple[list[int], str]] = WeakKeyDictionary()


def will_not_change(model: nn.Module) -> None:
    """Digest the weights for good: whoever gets the model from here on copies it to change it.

    A change in place is noticed all the same, unless it goes through `.data`.
    """
    _unchanging[model] = _versions(model), weights_key(model)


def _versions(model: nn.Module) -> list[int]:
    """How often each parameter and buffer was changed in place."""
    return [tensor._version for tensor in chain(model.parameters(), model.buffers())]


def parameter_infos(backbone: StagedModel) -> dict[str, tuple[nn.Parameter, ParameterInfo]]:
    """Every backbone parameter by name, with what a freezing policy may know of it."""
    infos: dict[str, tuple[nn.Parameter, ParameterInfo]] = {}
    n_stages = len(backbone.stages)
    for stage, module in enumerate(backbone.stages):
        for owner_name, owner in module.named_modules():
            for name, parameter in owner.named_parameters(recurse=False):
                full = ".".join(filter(None, ("stages", str(stage), owner_name, name)))
                is_norm, is_bias = isinstance(owner, _NORMS), name == "bias"
                infos[full] = (parameter, ParameterInfo(full, stage, n_stages, is_norm, is_bias))
    for name, parameter in backbone.pool.named_parameters():
        full = f"pool.{name}"
        last = ParameterInfo(full, n_stages - 1, n_stages, False, name.endswith("bias"))
        infos[full] = (parameter, last)
    return infos


def apply_freezing(backbone: StagedModel, policy: FreezingPolicy, epoch: int) -> int:
    """Set `requires_grad` as the policy says; return the first stage that trains.

    The number of stages is returned when none does.
    """
    first = len(backbone.stages)
    for parameter, info in parameter_infos(backbone).values():
        parameter.requires_grad_(policy.is_trainable(info, epoch))
        if parameter.requires_grad:
            first = min(first, info.stage)
    return first


def ready_to_predict(model: TransferModel) -> TransferModel:
    """The model in evaluation mode and in the memory layout that predicts fastest."""
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


@torch.no_grad()
def view_probabilities(model: TransferModel, backbone: nn.Module, inputs: Tensor) -> Tensor:
    """Class probabilities (N, K) of a batch; `backbone` computes the model's features from it.

    The backbone may run in 16 bit, as when features are cached; what follows runs in 32.
    """
    with autocast(inputs.device.type):
        features = backbone(inputs)
    logits: Tensor = model.head(model.feature_map(features.float()))
    return logits.softmax(1)


_MOST_BYTES = 2**29


class KeptModels:
    """Models that this process keeps by key: the last used ones, up to half a GiB; one at least."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, StagedModel] = {}

    def get(self, key: Hashable, make: Callable[[], StagedModel]) -> StagedModel:
        """The one that is kept, or made now. Callers who change it copy it first."""
        self._kept[key] = self._kept.pop(key) if key in self._kept else make()
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > _MOST_BYTES:
            del self._kept[next(iter(self._kept))]
        return self._kept[key]


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in model.state_dict().values())
