"""What losses see: a batch of one domain after the forward pass."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One domain's batch. Batches of source and target may differ in size.

    `labels` are class probabilities (one-hot unless mixed) of shape (N, K); they are None for
    unlabelled images, and always None in the target batch that an alignment method is given.
    """

    features: Tensor  # (N, D), pooled backbone output
    logits: Tensor  # (N, K)
    labels: Tensor | None = None  # (N, K) or None
    teacher: Tensor | None = (
        None  # (N, K) a teacher's probabilities, for a regularizer that distils
    )
    strong: "Batch | None" = None  # the same target images in a strongly varied second view
