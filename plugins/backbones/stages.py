"""Cut timm models into stages, so that activations can be cached at every boundary between them.

Everything that has parameters is in a stage. The cut model computes what the timm model computes.
"""

from collections.abc import Callable

from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.regnet import RegNet
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from automl_xfer.components import StagedModel

Cut = tuple[list[nn.Module], nn.Module]


class Features(nn.Module):
    """A timm model up to its last feature map, as one stage."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.forward_features(images)


class Pooling(nn.Module):
    """The pooling end of a timm model whose parameters another stage owns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple: not registered a second time as a submodule

    def forward(self, features: Tensor) -> Tensor:
        return self._model[0].forward_head(features, pre_logits=True)


def _resnet(model: ResNet) -> Cut:
    stem = nn.Sequential(model.conv1, model.bn1, model.act1, model.maxpool)
    return [stem, model.layer1, model.layer2, model.layer3, model.layer4], model.global_pool


def _efficientnet(model: EfficientNet) -> Cut:
    stem = nn.Sequential(model.conv_stem, model.bn1)
    if isinstance(model.conv_head, nn.Identity):  # MobileNetV1
        return [stem, *model.blocks], model.global_pool
    return [stem, *model.blocks, nn.Sequential(model.conv_head, model.bn2)], model.global_pool


def _mobilenetv3(model: MobileNetV3) -> Cut:
    stem = nn.Sequential(model.conv_stem, model.bn1)
    last = nn.Sequential(model.global_pool, model.conv_head, model.norm_head, model.act2)
    return [stem, *model.blocks, last], model.flatten


def _convnext(model: ConvNeXt) -> Cut:
    *first, last = model.stages
    last = nn.Sequential(last, model.norm_pre, model.head)
    return [model.stem, *first, last], nn.Identity()


def _regnet(model: RegNet) -> Cut:
    last = nn.Sequential(model.s4, model.final_conv)
    return [model.stem, model.s1, model.s2, model.s3, last], model.head


def _swin(model: SwinTransformer) -> Cut:
    *first, last = model.layers
    return [model.patch_embed, *first, nn.Sequential(last, model.norm)], model.head


def _vision_transformer(model: VisionTransformer) -> Cut:
    if model.attn_pool is not None:
        return _whole(model)
    *first, last = model.blocks
    last = nn.Sequential(last, model.norm, Pooling(model), model.fc_norm)
    model.blocks, model.norm, model.fc_norm = nn.Sequential(), nn.Identity(), nn.Identity()
    return [Features(model), *first, last], nn.Identity()  # emptied, the model is its own stem


def _whole(model: nn.Module) -> Cut:
    return [Features(model)], Pooling(model)


# By exact type: a subclass may run its parts in another order.
_CUTS: dict[type[nn.Module], Callable[..., Cut]] = {
    ResNet: _resnet,
    EfficientNet: _efficientnet,
    MobileNetV3: _mobilenetv3,
    ConvNeXt: _convnext,
    RegNet: _regnet,
    SwinTransformer: _swin,
    VisionTransformer: _vision_transformer,
}


# Their stages put out (N, C, H, W); Swin's are channels-last, a transformer's tokens.
_MAPS = frozenset({ResNet, EfficientNet, MobileNetV3, ConvNeXt, RegNet})


def puts_out_maps(model: nn.Module) -> bool:
    """Whether all stages of the cut timm model but the last put out maps (N, C, H, W)."""
    return type(model) in _MAPS


def cut(model: nn.Module, classifier: Callable[[], nn.Module] | None = None) -> StagedModel:
    """Cut a timm model made with `num_classes=0` at its family's stage boundaries.

    A model of another family becomes one stage. The timm model must not be used afterwards.
    `classifier` makes the classifier that the model was pretrained with.
    """
    config = model.pretrained_cfg
    stages, pool = _CUTS.get(type(model), _whole)(model)
    return StagedModel(
        stages,
        pool,
        model.head_hidden_size,
        mean=config["mean"],
        std=config["std"],
        classifier=classifier,
    )
