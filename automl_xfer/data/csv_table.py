"""Read a CSV of images: columns image, label, domain, split; only `image` is required."""

import csv
import difflib
import io
from dataclasses import dataclass
from pathlib import Path

from automl_xfer.data.rows import SPLIT_NAMES, Reading, Row, RowSplit
from automl_xfer.data.wording import counted, listed
from automl_xfer.errors import DataError

CSV_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
_COLUMNS = ("image", "label", "domain", "split")
_SYNONYMS = {
    "image": ("path", "file", "filename", "filepath", "file_path", "image_path", "image_id", "img"),
    "label": ("class", "target", "category", "y", "class_name"),
    "split": ("set", "subset", "partition"),
    "domain": (),
}
_SPLITS: dict[str, RowSplit] = {**SPLIT_NAMES, "source": "source"}


def read_csv(path: Path, domain: str) -> Reading:
    """The rows of a CSV in its order; labels of `unlabelled` rows are dropped here.

    Image paths are relative to the CSV or absolute. The delimiter is found from the header.
    Without a split, a row with a label is `train` and one without is `unlabelled`; `domain` is
    used where the table has none. Whether the images exist is the health check's business.

    Raises:
        DataError: the file is no readable CSV, is empty, lacks a column, or a row makes no sense.
    """
    text = read_text(path)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    try:
        cells = [(table.line_num, row) for row in table if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {table.line_num}: not valid CSV ({error}); check quotes and delimiters."
        ) from error
    if not cells:
        raise DataError(f"{path} is empty: it needs a header such as image,label,split and rows.")
    reader = _RowReader(path, domain, _columns(path, cells[0][1]), len(cells[0][1]))
    if len(cells) == 1:
        raise DataError(f"{path} has a header but no row: add one row for each image.")
    rows = [reader.row(line, row) for line, row in cells[1:]]
    return _without_repeats(path, rows)


@dataclass(frozen=True)
class _RowReader:
    path: Path
    domain: str
    columns: dict[str, int]
    width: int

    def row(self, line: int, cells: list[str]) -> Row:
        if len(cells) > self.width:
            raise self._error(
                line, f"{len(cells)} values under {self.width} columns; quote values with commas"
            )
        image, label = self._cell(cells, "image"), self._cell(cells, "label") or None
        if not image:
            raise self._error(line, "the image is empty; give its path relative to the CSV")
        split = self._split(line, cells, label)
        if label is None and split in ("train", "val", "source"):
            raise self._error(
                line, f"a {split} row needs a label; give one or set the split to 'unlabelled'"
            )
        domain = self._cell(cells, "domain") or ("source" if split == "source" else self.domain)
        file = (self.path.parent / image).absolute()
        return Row(file, image, split, domain, None if split == "unlabelled" else label)

    def _cell(self, cells: list[str], column: str) -> str:
        index = self.columns.get(column, len(cells))
        return cells[index].strip() if index < len(cells) else ""

    def _split(self, line: int, cells: list[str], label: str | None) -> RowSplit:
        value = self._cell(cells, "split")
        if not value:
            return "unlabelled" if label is None else "train"
        split = _SPLITS.get(value.lower())
        if split is None:
            raise self._error(
                line, f"unknown split '{value}'; use train, val, test, unlabelled or source"
            )
        return split

    def _error(self, line: int, what: str) -> DataError:
        return DataError(f"{self.path}, line {line}: {what}.")


def read_text(path: Path) -> str:
    """The text of a table in UTF-8 or UTF-16. Raises DataError for anything else."""
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in UTF-8 (byte {error.start}): save it as a UTF-8 CSV."
        ) from error
    if "\0" in text:
        raise DataError(f"{path} is a binary file, not a CSV: save the table as a UTF-8 CSV.")
    return text


def delimiter_of(text: str) -> str:
    """The delimiter that the header uses most."""
    header = text.lstrip().split("\n", 1)[0]
    return max(",;\t|", key=header.count)


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    found = [name.strip().lower() for name in header]
    repeated = sorted({name for name in found if name in _COLUMNS and found.count(name) > 1})
    if repeated:
        raise DataError(f"{path} has the column {listed(repeated)} twice: keep one of them.")
    for column in _COLUMNS:
        nearest = None if column in found else _nearest(column, found)
        if nearest or (column == "image" and column not in found):
            hint = f"; rename '{nearest}' to '{column}'" if nearest else ""
            raise DataError(
                f"{path} has no column '{column}' (columns found: "
                f"{listed(map(repr, found), 10)}){hint}."
            )
    return {name: found.index(name) for name in _COLUMNS if name in found}


def _nearest(column: str, found: list[str]) -> str | None:
    others = [name for name in found if name not in _COLUMNS]
    synonyms = [name for name in others if name in _SYNONYMS[column]]
    return next(iter(synonyms or difflib.get_close_matches(column, others, 1, 0.75)), None)


def _without_repeats(path: Path, rows: list[Row]) -> Reading:
    unique = list(dict.fromkeys(rows))
    repeats = len(rows) - len(unique)
    if not repeats:
        return Reading(rows, [])
    return Reading(unique, [f"Left out {counted(repeats, 'row')} of {path} that repeat another."])
