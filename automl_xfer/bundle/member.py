"""One trained model on disk: safetensors weights, rebuilt from its strategy.

Backbones lie beside the members, under the digest of their weights: members whose backbones are the
same have one file.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from automl_xfer.bundle.format import BACKBONES, WEIGHTS
from automl_xfer.components import FusedModel, StageFeatures, Strategy
from automl_xfer.errors import BundleError
from automl_xfer.transfer.frozen_features import head_for, read_stages
from automl_xfer.transfer.model import TransferModel, weights_key


def save_member(model: TransferModel, directory: Path) -> None:
    """Write all weights and buffers of `model`; half a file is never left under the name.

    The backbone's, or those of each member of a fused one, go to `../backbones`; `directory` has
    the rest, and as metadata which backbone belongs where.
    """
    own, keys = dict(model.state_dict()), {}
    for prefix, backbone in _backbones(model).items():
        keys[prefix], state = weights_key(backbone), backbone.state_dict()
        path = directory.parent / BACKBONES / f"{keys[prefix]}.safetensors"
        if not path.exists():
            _write(path, state)
        for name in state:
            del own[prefix + name]
    _write(directory / WEIGHTS, own, keys)


def _backbones(model: TransferModel) -> dict[str, nn.Module]:
    """The backbone, or the members of a fused one, by the prefix of their names in the model."""
    if isinstance(model.backbone, FusedModel):
        members = enumerate(model.backbone.members)
        return {f"backbone.members.{place}.": member for place, member in members}
    if isinstance(model.backbone, StageFeatures):
        return {"backbone.": model.backbone.plain}
    return {"backbone.": model.backbone}


def _write(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(
        {name: value.cpu().contiguous() for name, value in state.items()}, temporary, metadata
    )
    temporary.replace(path)


def _read(path: Path) -> dict[str, Tensor]:
    """The weights of a member with those of its backbones, as `save_member` wrote them."""
    state = load_file(path)
    with safe_open(path, "pt") as file:
        keys = file.metadata() or {}
    for prefix, key in keys.items():
        backbone = load_file(path.parent.parent / BACKBONES / f"{key}.safetensors")
        state |= {f"{prefix}{name}": value for name, value in backbone.items()}
    return state


def load_member(
    directory: Path,
    strategy: Mapping[str, Mapping[str, object]],
    num_classes: int,
    classes: Mapping[str, Mapping[str, type]],
) -> TransferModel:
    """Rebuild the model of `strategy` with the saved weights; no pretrained weights are needed."""
    path = directory / WEIGHTS
    try:
        state = _read(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"cannot read the weights {path} ({error}); copy the bundle again"
        ) from error
    made = Strategy.from_dict(strategy, classes)
    backbone = read_stages(made, made.backbone.build(pretrained=False))
    feature_map = _feature_map(state)
    dim = backbone.feature_dim if feature_map is None else feature_map.out_features
    head = head_for(made, backbone).build(dim, num_classes)
    if made.frozen:
        head = made.alignment.target_head(dim, num_classes, head) or head
    model = TransferModel(backbone, head, feature_map)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise BundleError(
            f"the weights {path} do not fit the strategy in the bundle's description; "
            "copy the bundle again from where it was made"
        ) from error
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


def _feature_map(state: Mapping[str, Tensor]) -> nn.Linear | None:
    weight = state.get("feature_map.weight")
    if weight is None:
        return None
    return nn.Linear(weight.shape[1], weight.shape[0], bias="feature_map.bias" in state)
