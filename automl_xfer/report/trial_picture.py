"""A trial's confusion matrix as a PNG, for the dashboard."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

_MOST_NAMES = 30


def write_confusion_picture(
    matrix: NDArray[np.int64], classes: Sequence[str], title: str, path: Path
) -> Path:
    """Draw (K, K) counts, rows true and columns predicted, shaded by share of the row."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(5.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    if len(classes) <= _MOST_NAMES:
        axes.set_xticks(range(len(classes)), labels=classes, rotation=60, ha="right")
        axes.set_yticks(range(len(classes)), labels=classes)
        for row, column in np.argwhere(matrix):
            shade = "white" if shares[row, column] > 0.5 else "black"
            count = str(matrix[row, column])
            axes.text(column, row, count, ha="center", va="center", color=shade, fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    return path
