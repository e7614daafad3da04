"""Stored predictions are read once, in bounded memory."""

from pathlib import Path

import numpy as np
import pytest

from automl_xfer.search.predictions import KeptPredictions


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(3):
        made.append(tmp_path / f"{number}.npz")
        probabilities = np.full((10, 4), number, np.float32)
        np.savez_compressed(made[-1], rows=np.arange(10), probabilities=probabilities)
    return made


def test_what_came_first_stays_in_memory(files: list[Path]) -> None:
    kept = KeptPredictions(most_bytes=2 * (10 * 8 + 10 * 4 * 4))
    first, second, third = map(kept.read, files)
    assert kept.read(files[0]) is first
    assert kept.read(files[1]) is second
    again = kept.read(files[2])
    assert again is not third
    np.testing.assert_array_equal(again.probabilities, third.probabilities)


def test_what_is_larger_than_the_limit_is_read_all_the_same(files: list[Path]) -> None:
    kept = KeptPredictions(most_bytes=1)
    for number, file in enumerate(files):
        assert kept.read(file).probabilities[0, 0] == number
