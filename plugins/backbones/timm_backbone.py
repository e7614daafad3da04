"""Pretrained timm models, from the hub or from a folder."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import timm
from timm.models import is_model, is_model_pretrained
from torch import nn

from automl_xfer.components import Backbone, BackboneRequest, StagedModel
from automl_xfer.errors import LeftOutWarning

from .architecture import (
    flexible_arguments,
    has_linear_classifier,
    structure_facts,
    untrained,
)
from .stages import cut
from .weights import folder_classes, hub_classes, load_from_folder, load_from_hub

CPU_PORTFOLIO = (
    "mobilenetv3_large_100.miil_in21k_ft_in1k",
    "efficientnet_b0.ra_in1k",
    "resnet18.a1_in1k",
    "regnety_008.pycls_in1k",
)
GPU_PORTFOLIO = (
    "convnext_tiny.fb_in22k_ft_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "convnext_small.fb_in22k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",
    "tf_efficientnetv2_s.in21k_ft_in1k",
    "resnet50.a1_in1k",
)


@dataclass(frozen=True)
class TimmBackbone(Backbone):
    """A timm model with its pretrained weights.

    `model` is a timm name, or the name of a folder under `weights_dir` in timm's local layout
    (config.json beside the weights). `architecture` and `arguments` (a JSON object) describe the
    network without its weights; empty, the architecture is `model`.
    """

    name = "timm"

    model: str
    weights_dir: str | None = None
    architecture: str = ""
    arguments: str = "{}"

    @classmethod
    def candidates(cls, request: BackboneRequest) -> Sequence["TimmBackbone"]:
        if request.weights_dir is not None:
            return _folder_candidates(request.weights_dir, request.patterns)
        default = GPU_PORTFOLIO if request.accelerator else CPU_PORTFOLIO
        names = [name for pattern in request.patterns or default for name in _expand(pattern)]
        return [cls(name) for name in dict.fromkeys(names)]

    def build(self, *, pretrained: bool = True) -> StagedModel:
        if not pretrained:
            return untrained(self.network, self.arguments)
        return cut(self._load(0), self.classifier if "classifier" in self.facts() else None)

    def classifier(self) -> nn.Module:
        """The classifier of the pretraining, loaded with all of its model: (N, D) -> logits."""
        made: nn.Module = self._load(self._pretraining_classes()).get_classifier()
        return made

    def facts(self) -> frozenset[str]:
        facts = structure_facts(self.network, self.arguments) | {"pretrained"}
        classes = self._pretraining_classes()
        named = has_linear_classifier(self.network, classes, self.arguments)
        return facts | {"classifier"} if named else facts

    @property
    def label(self) -> str:
        return self.model

    @property
    def network(self) -> str:
        """The timm name to make the bare network from."""
        return self.architecture or self.model

    def _load(self, num_classes: int) -> nn.Module:
        options = flexible_arguments(self.network, self.arguments)
        if self.weights_dir is None:
            return load_from_hub(self.model, num_classes=num_classes, **options)
        folder = Path(self.weights_dir) / self.model
        return load_from_folder(folder, num_classes=num_classes, **options)

    def _pretraining_classes(self) -> int:
        if self.weights_dir is None:
            return hub_classes(self.model)
        return folder_classes(Path(self.weights_dir) / self.model)


def _expand(pattern: str) -> list[str]:
    """A timm name as it is, a pattern as every pretrained model that it matches."""
    if is_model(pattern):
        return [pattern] if is_model_pretrained(pattern) else []
    return timm.list_models(pattern, pretrained=True)


def _folder_candidates(weights_dir: Path, patterns: tuple[str, ...]) -> list[TimmBackbone]:
    """The folders that match; one whose config names no architecture is left out with a warning."""
    folders = sorted(path.parent for path in weights_dir.resolve().glob("*/config.json"))
    matching = [
        folder
        for folder in folders
        if any(fnmatch(folder.name, pattern) for pattern in patterns or ("*",))
    ]
    return [made for folder in matching if (made := _folder_candidate(folder))]


def _folder_candidate(folder: Path) -> TimmBackbone | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture, arguments = config["architecture"], config.get("model_args", {})
    except (OSError, ValueError, KeyError, TypeError):
        architecture = arguments = None
    if not isinstance(architecture, str) or not is_model(architecture):
        warnings.warn(
            f"{folder / 'config.json'} does not name a timm architecture, so the folder is left "
            "out: write it as timm's save_for_hf does, or remove the folder from --weights-dir",
            LeftOutWarning,
            stacklevel=2,
        )
        return None
    return TimmBackbone(
        folder.name, str(folder.parent), architecture, json.dumps(arguments, sort_keys=True)
    )
