"""A tiny convolutional network for small images, trained from nothing in minutes on a CPU."""

from torch import nn

from automl_xfer.components import StagedModel

SMALL_CONVNET = "small-convnet"
STRUCTURE = frozenset({"batch_norm", "stages", "maps"})
"""Facts of the small convnet, however it starts."""
WIDTHS = (32, 64, 128, 256)


def small_convnet() -> StagedModel:
    """Four stages of 3x3 convolution, batch norm, ReLU and 2x2 max pooling; then the mean.

    0.39 M parameters; images of 16 pixels or more; 256 features. Weights come from torch's
    global generator.
    """
    inputs = (3, *WIDTHS)
    stages = [_stage(inputs[i], WIDTHS[i]) for i in range(len(WIDTHS))]
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return StagedModel(stages, pool, WIDTHS[-1], mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _stage(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
