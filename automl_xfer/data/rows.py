"""Row: one image as a folder or CSV names it, before roles and classes are settled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from automl_xfer.data.manifest import Split

RowSplit = Split | Literal["test"]

SPLIT_NAMES: dict[str, RowSplit] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}
"""Names that folders and CSV cells use for a split, in lower case."""

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "tif", "tiff", "webp"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "avif", "tga", "ico"),
        # Meant as images but not readable everywhere: the health report then names them.
        *("heic", "heif", "svg", "psd", "raw", "cr2", "nef", "arw", "dng", "exr", "hdr"),
    )
)

SIDE_FILE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "md", "html"),
        *("log", "db", "lst", "npy", "npz", "mat", "pkl", "py", "sh"),
    )
)
"""Files that data sets carry beside their images: ignored without a word."""


@dataclass(frozen=True)
class Row:
    """One image with the split, domain and label that the user gave it."""

    path: Path
    given: str
    split: RowSplit
    domain: str
    label: str | None


@dataclass(frozen=True)
class Reading:
    """What one folder or CSV holds, and what the user should hear about it."""

    rows: list[Row]
    warnings: list[str]
