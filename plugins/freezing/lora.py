"""Low-rank adaptation."""

import re
from dataclasses import dataclass

import torch
from torch import nn

from automl_xfer.components import Choice, FreezingPolicy, ParameterInfo


@dataclass(frozen=True)
class LoRA(FreezingPolicy):
    """Train a low-rank update of each linear and convolutional layer; its own weights stay.

    W + (alpha / rank) · B A, with A (rank, inputs) random and B (outputs, rank) zero at the start,
    so that training starts from the pretrained function; for a convolution A has its kernel and B
    is 1x1. Afterwards the update is added to W. Hu et al. 2021, arXiv 2106.09685; layers of `peft`.
    Departure: every layer of the stages has an update, not the attention's alone. Left out are
    grouped (depthwise) and dilated convolutions and subclasses that change what the weights do.
    Where a model reads a layer's weight past the layer (BEiT's qkv) the update stays zero.
    """

    name = "lora"
    excludes = frozenset({"random", "fused"})
    provides = frozenset({"trainable", "low_rank"})
    complexity = 2

    rank: int = Choice(8, (4, 8, 16))
    alpha: int = Choice(16, (4, 8, 16, 32))

    def wrap(self, backbone: nn.Module) -> None:
        names = [name for name, module in backbone.named_modules() if _suits(name, module)]
        if not names:
            return
        from peft import LoraConfig, inject_adapter_in_model  # slow to import

        exactly = "|".join(re.escape(name) for name in names)
        config = LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=exactly)
        inject_adapter_in_model(config, backbone)

    @torch.no_grad()
    def unwrap(self, backbone: nn.Module) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        for name, module in list(backbone.named_modules()):
            if isinstance(module, BaseTunerLayer):
                module.merge()
                parent, _, own = name.rpartition(".")
                setattr(backbone.get_submodule(parent), own, module.get_base_layer())
        if hasattr(backbone, "peft_config"):
            del backbone.peft_config

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return "lora_" in parameter.name


def _suits(name: str, module: nn.Module) -> bool:
    """Whether peft's update of this layer can be merged into its weights."""
    if not name.startswith("stages."):
        return False
    if type(module) is nn.Conv2d:
        plain = module.padding_mode == "zeros" and module.dilation == (1, 1)
        return plain and module.groups == 1
    return type(module) is nn.Linear
