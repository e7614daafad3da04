"""The alignment axis: what is done about the difference between source and target."""

import functools
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class AlignedFeatures:
    """The affine maps that bring source and target features together. None is the identity.

    The head is fitted on `source_map(source)` (and on `target_map` of the labelled target
    features, if any) and applied to `target_map(features)`.
    """

    source_map: nn.Linear | None = None  # (N, D) -> (N, D')
    target_map: nn.Linear | None = None  # (N, D) -> (N, D')


@dataclass(frozen=True)
class AlignmentMethod(Component):
    """Uses source images for the target. Override any of the hooks.

    Target labels reach none but `refine`, which is told those that the head was fitted on.
    `trains_on` says whose labels train the head: {"target"}, {"source"} or both. Where the target
    has no labels every method trains on the source's.
    """

    axis: ClassVar[str] = "alignment"
    requires: ClassVar[frozenset[str]] = frozenset({"source"})
    trains_on: ClassVar[frozenset[str]] = frozenset({"source", "target"})
    adapts_each_domain: ClassVar[bool] = False
    """On a frozen backbone, run `finish` on a second copy with the source's images as well."""
    finishes_first: ClassVar[bool] = False
    """Run `finish` before gradient training, which then sees what it changed, not after it."""
    two_views: ClassVar[bool] = False
    """The loss reads `target.strong`: the target batch a second time, varied more strongly."""

    def transform_source(self, images: Tensor, target_images: Tensor) -> Tensor:
        """Change source pixels: uint8 (N, 3, H, W) and (M, 3, H, W) -> uint8 (N, 3, H, W)."""
        return images

    def build(self, feature_dim: int, num_classes: int) -> nn.Module | None:
        """A loss module called as `loss(source: Batch, target: Batch, progress: float)`.

        A method that does not require a source is given the labelled target batch where there is
        none. `progress` runs from 0 to 1 over the training; the module's own parameters (a
        discriminator) train with the model. It returns a scalar, already weighted. None: no loss.
        """
        return None

    def task_weights(self, progress: float) -> tuple[float, float]:
        """Weights of the source's and the target's cross-entropy at `progress` 0..1.

        A domain of weight 0 is not even read. Only their ratio counts.
        """
        return 1.0, 1.0

    def sample_weights(
        self, source: Tensor, source_labels: Tensor, target: Tensor
    ) -> Tensor | None:
        """Weights (N_s,) of the labelled source images, mean 1; from frozen features.

        Shapes as for `align`. They weigh the head's fit and the cross-entropy. None: all equal.
        """
        return None

    def least_target_batch(self, num_classes: int) -> int:
        """How many target images the loss needs to see at once, however small the batches are."""
        return 0

    def align(
        self, source: Tensor, source_labels: Tensor, target: Tensor
    ) -> AlignedFeatures | None:
        """Closed form on cached features: (N_s, D), (N_s,) ints, (N_t, D). None: not offered."""
        return None

    def target_head(self, feature_dim: int, num_classes: int, head: nn.Module) -> nn.Module | None:
        """An empty head for the target, (N, D') -> logits (N, K), that `refine` fills.

        It may hold `head`, the fitted one. Loading a bundle makes it anew, with an empty `head`.
        None: the method keeps the head it was given.
        """
        return None

    def refine(
        self,
        head: nn.Module,
        features: Tensor,
        probabilities: Tensor,
        prior: Tensor,
        known: Tensor,
    ) -> None:
        """Fit `target_head`'s module in place from target images, most of them without labels.

        Features (M, D') and the first head's class probabilities (M, K) for them; `prior` (K,) are
        the class shares that the first head was fitted on. Where `known` (M,) is true the image is
        one that trains with its label, and its probabilities are that label.
        """

    def finish(self, model: nn.Module, target_batches: Iterable[Tensor]) -> None:
        """Change `model` in place after training, from normalised unlabelled target batches.

        `model` maps normalised images (N, 3, H, W) to features (N, D). Its result is cached by
        `finish_key`, the weights and the images: it must depend on nothing else. The images are all
        of the study's target, those that a fold holds out among them, so that all folds share the
        result: let it take statistics, and leave training to `adapt`. A fused backbone's members
        come one by one.
        """

    def adapt(self, model: nn.Module, target_batches: Callable[[], Iterable[Tensor]]) -> None:
        """Change the whole fitted model in place, at the very end (TENT, SHOT).

        `model` maps normalised images (N, 3, H, W) to logits (N, K); it has `model.backbone`,
        `model.head` and `model.features(images)` (N, D). Each call of `target_batches` is one
        shuffled pass over the unlabelled target images, normalised. Parameters arrive with
        `requires_grad` off and the model in evaluation mode. A field `epochs` says how many passes
        with gradient it makes; the search foresees its cost by that.
        """

    def finish_key(self) -> str:
        """What `finish` depends on; methods that change a backbone alike may share a key.

        Parameters and the class's own source; override it where `finish` calls what may change.
        """
        return json.dumps(self.to_dict(), sort_keys=True) + _source(type(self))  # type: ignore[arg-type]


@functools.cache
def _source(made: type) -> str:
    """The source of a class as it was when first asked for; its name where there is none."""
    try:
        return inspect.getsource(made)
    except (OSError, TypeError, SyntaxError):
        return f"{made.__module__}.{made.__qualname__}"
