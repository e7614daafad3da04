"""Small pictures that differ from each other as photographs do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Draw = Callable[..., Path]


@pytest.fixture
def picture() -> Callable[[int], Image.Image]:
    """The picture of a seed: smooth colour blobs, 192 x 160; other seeds look otherwise."""

    def make(seed: int) -> Image.Image:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((192, 160), Image.Resampling.BICUBIC)

    return make


@pytest.fixture
def draw(tmp_path: Path, picture: Callable[[int], Image.Image]) -> Draw:
    """`draw("cat/1.png", seed)` saves the picture of the seed below `tmp_path`."""
    count = iter(range(1000, 10**6))

    def save(name: str, seed: int | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(next(count) if seed is None else seed).save(path)
        return path

    return save
