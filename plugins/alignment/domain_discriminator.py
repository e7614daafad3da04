"""The network of the adversarial methods that tells source from target."""

from torch import nn


def domain_discriminator(input_dim: int, hidden: int) -> nn.Sequential:
    """(N, D) -> logits (N, 1), high for the source; two hidden layers with ReLU."""
    return nn.Sequential(
        nn.Linear(input_dim, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1),
    )
