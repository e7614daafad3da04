"""Find images that are the same picture: by file content, and by what they show."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

MAX_DISTANCE = 6
"""Largest Hamming distance of two 64-bit perceptual hashes of near duplicates."""

MAX_DIFFERENCE = 5.0
"""Largest mean absolute difference of their thumbnails, of 255: the hash alone also matches
different pictures on plain backgrounds."""

_BANDS = MAX_DISTANCE + 1
_BLOCK = 4096


def exact_groups(digests: Sequence[str]) -> list[list[int]]:
    """Indices that share a digest, for every digest that occurs twice or more."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        members[digest].append(index)
    return [indices for indices in members.values() if len(indices) > 1]


def near_pairs(thumbnails: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs i < j of thumbnails (N, S, S, 3) that show the same picture.

    Two hashes that differ in at most 6 of 64 bits agree in at least one of 7 bands, so only
    images that share a band are compared: near linear in N.
    """
    hashes = perceptual_hashes(thumbnails)
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.int16)
    pairs: set[tuple[int, int]] = set()
    for bucket in _buckets(hashes):
        for first, second in _close_in_bucket(bucket, hashes):
            differences = np.abs(flat[first] - flat[second]).mean(axis=1)
            same = differences <= MAX_DIFFERENCE
            pairs.update(zip(first[same].tolist(), second[same].tolist(), strict=True))
    return sorted(pairs)


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """pHash (Zauner 2010): signs of the 8 x 8 lowest DCT frequencies about their median, (N,).

    Blind to brightness, re-encoding and resizing.
    """
    grey = thumbnails.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    basis = _cosines(grey.shape[1])[:8]
    frequencies = (basis @ grey @ basis.T).reshape(len(grey), 64)
    bits = frequencies > np.median(frequencies[:, 1:], axis=1, keepdims=True)
    packed = np.packbits(bits, axis=1)
    return np.ascontiguousarray(packed).view(np.uint64).reshape(-1)


def connected(n: int, groups: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """(n,) ids, equal for indices linked by any chain of groups."""
    parent = list(range(n))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for group in groups:
        first = root(group[0])
        for other in group[1:]:
            parent[root(other)] = first
    return np.array([root(index) for index in range(n)], dtype=np.int64)


def _cosines(n: int) -> NDArray[np.float32]:
    """Rows of the DCT-II of length n."""
    angles = np.pi / n * np.outer(np.arange(n), np.arange(n) + 0.5)
    return np.cos(angles).astype(np.float32)


def _buckets(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Indices that agree in one band of bits, for every band, two or more at a time."""
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    for low, high in itertools.pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        yield from (bucket for bucket in np.split(order, starts) if len(bucket) > 1)


def _close_in_bucket(
    bucket: NDArray[np.int64], hashes: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Index pairs within the Hamming distance, in blocks that fit in memory."""
    rows = max(1, _BLOCK * _BLOCK // 16 // len(bucket))
    for start in range(0, len(bucket), rows):
        part = bucket[start : start + rows]
        distance = _bit_count(hashes[part][:, None] ^ hashes[bucket][None, :])
        row, column = np.nonzero((distance <= MAX_DISTANCE) & (part[:, None] < bucket[None, :]))
        for block in range(0, len(row), _BLOCK):
            span = slice(block, block + _BLOCK)
            yield part[row[span]], bucket[column[span]]


def _bit_count(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        counts: NDArray[np.uint8] = np.bitwise_count(values)
        return counts
    as_bytes = np.ascontiguousarray(values)[..., None].view(np.uint8)
    summed: NDArray[np.uint8] = np.unpackbits(as_bytes, axis=-1).sum(axis=-1, dtype=np.uint8)
    return summed
