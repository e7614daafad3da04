"""Cross-entropy to pseudo-labels that the model itself is sure of."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def confident_cross_entropy(
    student: Tensor, teacher: Tensor, threshold: float, class_weights: Tensor | None = None
) -> Tensor:
    """1/N Σ_i 1[max_k p_ik > threshold] w_ŷi CE(student_i, ŷ_i), in 32 bits or more.

    p = softmax(teacher) and ŷ = argmax p, both constant in the gradient; logits (N, K), weights
    (K,), all 1 by default. Divided by all images of the batch, not only the sure ones.
    """
    student = student.to(torch.promote_types(student.dtype, torch.float32))
    sureness, labels = teacher.detach().to(student.dtype).softmax(1).max(1)
    weights = (sureness > threshold).to(student.dtype)
    if class_weights is not None:
        weights = weights * class_weights[labels]
    return (weights * cross_entropy(student, labels, reduction="none")).mean()
