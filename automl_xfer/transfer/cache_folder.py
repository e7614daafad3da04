"""CacheFolder: files that can be computed again, under a size limit, shared by all processes."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MOST_BYTES = 20 * 2**30
_WEIGHTS_SHARE = 0.25
"""Trained weights may take this share: features and activations serve more."""

_STALE_SECONDS = 3600.0
"""A file that was not finished for so long belongs to a process that was killed."""

_written: dict[Path, int] = {}
"""Bytes that this process wrote since it last looked at the whole folder."""

KINDS = ("features", "stages", "weights")
"""What the names of the files begin with; decoded images in the same folder are no part of it."""


@dataclass(frozen=True)
class CacheEntry:
    """One file of a cache folder."""

    path: Path
    size: int  # bytes
    read: float  # seconds since the epoch, when it was read last

    @property
    def kind(self) -> str:
        """`features`, `stages`, `weights` or `images`."""
        return _kind(self.path)


class CacheFolder:
    """Files by content: what they are computed from decides the name.

    Two processes may write one name at once: each writes a file of its own and renames it, and
    both hold the same numbers. Past 20 GB, or a tenth of the free disk, what was not read for
    longest goes.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def limit(self) -> int:
        """Bytes that the files may take together."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return min(_MOST_BYTES, shutil.disk_usage(self.directory).free // 10)

    def entries(self) -> list[CacheEntry]:
        """The files, the one that was not read for longest first; unfinished ones if stale."""
        found = []
        for kind in KINDS:
            for path in self.directory.glob(f"{kind}-*"):
                with suppress(FileNotFoundError):  # another process made room too
                    status = path.stat()
                    if path.suffix != ".part" or time.time() - status.st_mtime > _STALE_SECONDS:
                        found.append(CacheEntry(path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: entry.read)

    def images(self) -> list[CacheEntry]:
        """The decoded images in the same folder, which are under no limit."""
        found = [path for path in self.directory.glob("*.npy") if _kind(path) == "images"]
        return [CacheEntry(path, path.stat().st_size, path.stat().st_mtime) for path in found]

    def write(self, path: Path, save: Callable[[Path], None]) -> None:
        """`save` beside `path`, then rename, so that a reader sees all of the file or none."""
        self.directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{KINDS[0]}-", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            save(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # on the disk before the name says that it is whole
            size = temporary.stat().st_size
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._make_room(size)

    def write_rows(
        self, path: Path, n: int, dtype: DTypeLike, batches: Iterable[NDArray[Any]]
    ) -> None:
        """Write `n` rows that come in batches (B, ...), without holding them all in memory."""
        header = np.lib.format.write_array_header_1_0
        kind = np.dtype(dtype)

        def save(temporary: Path) -> None:
            begun = False
            with temporary.open("wb") as file:  # not a memory map: a full disk must raise
                for batch in batches:
                    if not begun:
                        shape = (n, *batch.shape[1:])
                        about = {"descr": kind.str, "fortran_order": False, "shape": shape}
                        header(file, about)
                        begun = True
                    file.write(np.ascontiguousarray(batch, kind).data)

        self.write(path, save)

    def read_rows(self, path: Path, n: int) -> NDArray[Any] | None:
        """The memory-mapped array of `n` rows, or None where there is none or it is damaged."""
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r")
            os.utime(path)  # read now: among the last to be deleted
        except (OSError, ValueError, EOFError):
            return None
        return array if len(array) == n else None

    def _make_room(self, size: int) -> None:
        """Delete what was not read for longest while the limit is passed.

        Looked at when this process has written a hundredth of the limit since it last was: a
        folder of many small files takes a while to list.
        """
        limit = self.limit
        _written[self.directory] = _written.get(self.directory, limit) + size
        if _written[self.directory] < limit // 100:
            return
        _written[self.directory] = 0
        entries = self.entries()
        weights = [entry for entry in entries if entry.kind == "weights"]
        gone = _oldest_beyond(weights, limit * _WEIGHTS_SHARE)
        gone += _oldest_beyond([entry for entry in entries if entry not in gone], limit)
        for entry in gone:
            entry.path.unlink(missing_ok=True)


def _oldest_beyond(entries: list[CacheEntry], limit: float) -> list[CacheEntry]:
    """Those that must go, of entries in the order of their reading, so that the rest fits."""
    total, gone = sum(entry.size for entry in entries), []
    for entry in entries:
        if total <= limit:
            break
        gone.append(entry)
        total -= entry.size
    return gone


def _kind(path: Path) -> str:
    start = path.name.partition("-")[0]
    return start if start in KINDS else "images"
