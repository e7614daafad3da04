"""Fine-tuning whose result is averaged with its start."""

from dataclasses import dataclass

from automl_xfer.components import Float

from .lp_ft import LinearProbeThenFineTune


@dataclass(frozen=True)
class WiseFineTune(LinearProbeThenFineTune):
    """Linear probe, then fine-tuning, then a mean of the weights before and after (WiSE-FT).

    `start_share` is the weight of the start: the pretrained backbone with its fitted head. `depth`
    is that of LP-FT. Wortsman et al. 2022, arXiv 2109.01903 (whose start is a zero-shot head).
    """

    name = "wise-ft"
    complexity = 3

    start_share: float = Float(0.5, low=0.1, high=0.9)

    def share_of_start(self) -> float:
        return self.start_share
