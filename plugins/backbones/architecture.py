"""A timm architecture without its weights: made empty, known without being loaded."""

import inspect
import json
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from automl_xfer.components import StagedModel

from .stages import cut, puts_out_maps


def flexible_arguments(architecture: str, arguments: str) -> dict[str, Any]:
    """The constructor arguments of a timm architecture, such that it takes any image size.

    `arguments` is a JSON object that overrides timm's defaults.
    """
    given = json.loads(arguments)
    with torch.device("meta"):
        model = timm.create_model(architecture, num_classes=0, **given)
    known = inspect.signature(type(model)).parameters
    flexible = {"dynamic_img_size": True, "dynamic_img_pad": True}
    if "strict_img_size" in known:
        flexible = {"strict_img_size": False}
    return given | {key: value for key, value in flexible.items() if key in known}


def untrained(architecture: str, arguments: str = "{}") -> StagedModel:
    """A timm architecture with random weights from torch's global generator."""
    return cut(_network(architecture, arguments))


def _network(architecture: str, arguments: str) -> nn.Module:
    options = flexible_arguments(architecture, arguments)
    made: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0, **options)
    return made


@lru_cache(maxsize=256)
def structure_facts(architecture: str, arguments: str = "{}") -> frozenset[str]:
    """`stages` when there is more than one, `maps` when they put out maps (N, C, H, W),
    `batch_norm` when there is any such layer.
    """
    with torch.device("meta"):
        network = _network(architecture, arguments)
        facts = {"maps"} if puts_out_maps(network) else set()
        model = cut(network)
    if len(model.stages) > 1:
        facts.add("stages")
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        facts.add("batch_norm")
    return frozenset(facts)


@lru_cache(maxsize=256)
def has_linear_classifier(architecture: str, num_classes: int, arguments: str = "{}") -> bool:
    """Whether a checkpoint with so many classes has one linear layer on the pooled features."""
    if num_classes == 0:
        return False
    with torch.device("meta"):
        model = timm.create_model(architecture, num_classes=num_classes, **json.loads(arguments))
    layer = model.get_classifier()  # two of them in a distilled model
    return isinstance(layer, nn.Linear) and layer.in_features == model.head_hidden_size
