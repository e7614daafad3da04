"""Where features point from their domain's mean, for the estimators that compare by cosine."""

from torch import Tensor
from torch.nn.functional import normalize


def centred_directions(features: Tensor) -> Tensor:
    """(x − mean)/‖x − mean‖ for each of (N, D) features, on the CPU in 32 bits or more."""
    features = features.detach().cpu()
    features = features if features.dtype.itemsize > 4 else features.float()
    return normalize(features - features.mean(0))
