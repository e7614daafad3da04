"""One trained model on disk: safetensors weights, rebuilt from its strategy."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from automl_xfer.bundle.format import WEIGHTS
from automl_xfer.components import Strategy
from automl_xfer.errors import BundleError
from automl_xfer.transfer.frozen_features import head_for, read_stages
from automl_xfer.transfer.model import TransferModel


def save_member(model: TransferModel, directory: Path) -> None:
    """Write all weights and buffers of `model`; half a file is never left under the name."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    temporary = directory / f"{WEIGHTS}.part"
    save_file(state, temporary)
    temporary.replace(directory / WEIGHTS)


def load_member(
    directory: Path,
    strategy: Mapping[str, Mapping[str, object]],
    num_classes: int,
    classes: Mapping[str, Mapping[str, type]],
) -> TransferModel:
    """Rebuild the model of `strategy` with the saved weights; no pretrained weights are needed."""
    path = directory / WEIGHTS
    try:
        state = load_file(path)
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
