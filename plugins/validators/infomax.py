"""InfoMax."""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from automl_xfer.components import UnlabelledPredictions, Validator


@dataclass(frozen=True)
class InfoMax(Validator):
    """(H(mean p) − mean H(p)) / log K on the target: sure of each image, even over the classes.

    Between 0 and 1.
    The mutual information of image and prediction. Bridle, Heading and MacKay 1991; as a
    validator Musgrave, Belongie and Lim 2022, arXiv 2208.07360.
    """

    name = "infomax"

    def score(self, predictions: UnlabelledPredictions) -> float:
        p = predictions.target.astype(np.float64)
        information = entr(p.mean(0)).sum() - entr(p).sum(1).mean()
        return float(information / np.log(p.shape[1]))
