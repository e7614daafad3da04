"""Domain randomisation."""

from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms import v2

from automl_xfer.components import AlignmentMethod, Float

from ..augmentation.per_image import per_image

SCALE = (0.7, 1.0)


@dataclass(frozen=True)
class DomainRandomisation(AlignmentMethod):
    """Vary framing and colour of the source images so much that the target looks like one more.

    Each image: a box of 0.7 to 1 of its area stretched to full size, mirrored half the time;
    brightness, contrast, saturation and hue moved by up to `jitter`; grey with probability `grey`.
    The idea: Tobin et al. 2017, arXiv 1703.06907 (on renderings); these operations: Gulrajani and
    Lopez-Paz 2020, arXiv 2007.01434. By torchvision; the augmentation policy comes on top,
    any but another jitter of the colours.
    """

    name = "domain-randomisation"
    requires = frozenset({"source", "trainable"})
    provides = frozenset({"randomised"})

    jitter: float = Float(0.3, low=0.1, high=0.5)
    grey: float = Float(0.1, low=0.0, high=0.5)

    def transform_source(self, images: Tensor, target_images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        vary = v2.Compose(
            [
                v2.RandomResizedCrop((height, width), scale=SCALE),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(self.jitter, self.jitter, self.jitter, self.jitter),
                v2.RandomGrayscale(self.grey),
            ]
        )
        return per_image(vary)(images)
