"""scan: from the paths that the user gives to a manifest, with the test split kept apart."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from automl_xfer.data.csv_table import CSV_SUFFIXES, read_csv
from automl_xfer.data.folders import read_folder
from automl_xfer.data.manifest import Manifest, Sample, ScannedData, TestSplit
from automl_xfer.data.rows import IMAGE_SUFFIXES, Reading, Row
from automl_xfer.data.wording import counted, listed
from automl_xfer.errors import DataError


def scan(target: Path, sources: Sequence[Path] = ()) -> ScannedData:
    """Read the target and the sources; no image is opened yet.

    `target` is a folder of class folders (or of split folders of class folders), a flat folder
    of images without labels, or a CSV with the columns image,label,domain,split. Each source is
    a folder of class folders or a CSV with image,label; its name becomes its domain. Labels of
    `unlabelled` rows are dropped while reading; `test` rows are found in the TestSplit only.

    Raises:
        DataError: a path cannot be read, or what it holds is not enough to learn from.
    """
    target = Path(target).expanduser()
    try:
        reading = _read(target, "target")
        rows, warnings = list(reading.rows), list(reading.warnings)
        taken = {"target", *(row.domain for row in rows)}
        for source in _distinct(target, sources):
            found = _read_source(source, taken)
            rows += found.rows
            warnings += found.warnings
            taken |= {row.domain for row in found.rows}
        _check_any_file(target, rows)
    except OSError as error:
        raise DataError(
            f"Cannot read {error.filename or target} ({error.strerror}): check the path and the "
            f"permissions of the file and of the folders above it."
        ) from error
    return _assemble(target, rows, warnings)


def _read(path: Path, domain: str) -> Reading:
    if path.is_dir():
        return read_folder(path, domain)
    if not path.exists():
        raise DataError(f"{path} does not exist: give a folder of images or a CSV.")
    if path.suffix.lower() in CSV_SUFFIXES and path.is_file():
        return read_csv(path, domain)
    hint = "give the folder it lies in" if path.suffix.lower() in IMAGE_SUFFIXES else "unpack it"
    raise DataError(
        f"{path} is neither a folder nor a CSV: {hint}, or list the images in a .csv file with "
        f"the columns image,label,split."
    )


def _distinct(target: Path, sources: Sequence[Path]) -> Iterable[Path]:
    seen = {target.resolve(): "the target"}
    for source in (Path(source).expanduser() for source in sources):
        if source.resolve() in seen:
            raise DataError(
                f"The source {source} is the same as {seen[source.resolve()]}: give each once."
            )
        seen[source.resolve()] = "another source"
        yield source


def _read_source(path: Path, taken: set[str]) -> Reading:
    """Labelled rows of a source under a domain name that nothing else bears."""
    name = path.resolve().stem if path.is_file() else path.resolve().name
    reading = _read(path, name)
    labelled = [row for row in reading.rows if row.split in ("train", "val", "source")]
    if not labelled:
        raise DataError(
            f"The source {path} has no labels: a source needs one folder per class or a CSV with "
            f"image,label; images without labels can only be a target."
        )
    domains = {row.domain: _free_name(row.domain, taken) for row in labelled}
    rows = [replace(row, split="source", domain=domains[row.domain]) for row in labelled]
    left_out = len(reading.rows) - len(labelled)
    warnings = list(reading.warnings)
    if left_out:
        warnings.append(
            f"Left out {counted(left_out, 'image')} of the source {path}: its test images and "
            f"those without a label are not used."
        )
    return Reading(rows, warnings)


def _free_name(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _check_any_file(target: Path, rows: list[Row]) -> None:
    if any(row.path.is_file() for row in rows):
        return
    first = rows[0]
    hint = (
        "; paths are relative to the CSV, not to where you are"
        if Path(first.given).is_file()
        else ""
    )
    raise DataError(
        f"None of the {counted(len(rows), 'image')} that {target} names exists; the first was "
        f"looked for at {first.path}: correct the paths in the CSV{hint}."
    )


def _assemble(target: Path, rows: list[Row], warnings: list[str]) -> ScannedData:
    rows, classes = _settle_classes(target, rows, warnings)
    _check_enough(target, rows, classes)
    samples = tuple(
        Sample(row.path, row.given, row.split, row.domain, row.label)
        for row in rows
        if row.split != "test"
    )
    return ScannedData(Manifest(samples), _test_split(rows), tuple(warnings))


def _settle_classes(
    target: Path, rows: list[Row], warnings: list[str]
) -> tuple[list[Row], set[str]]:
    """Leave out labelled rows whose class nothing trained here could name; say so."""
    unlabelled_test = [row for row in rows if row.split == "test" and row.label is None]
    if unlabelled_test:
        warnings.append(
            f"Left out {counted(len(unlabelled_test), 'test image')} without a label: they cannot "
            f"be scored; call the split 'unlabelled' to learn from them."
        )
    rows = [row for row in rows if row.split != "test" or row.label is not None]
    classes = _labels(rows, "train") or _labels(rows, "source")
    kept = [row for row in rows if row.label is None or row.label in classes]
    for where, labels in _foreign_labels(rows, classes).items():
        warnings.append(_foreign_warning(where, labels, classes, rows))
    return kept, classes


def _labels(rows: Iterable[Row], split: str) -> set[str]:
    return {row.label for row in rows if row.split == split and row.label is not None}


def _foreign_labels(rows: list[Row], classes: set[str]) -> dict[tuple[str, str], list[str]]:
    """(split, domain) -> one entry per row whose label is not among the classes."""
    foreign: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.label is not None and row.label not in classes:
            domain = row.domain if row.split == "source" else ""
            foreign.setdefault((row.split, domain), []).append(row.label)
    return foreign


def _foreign_warning(
    where: tuple[str, str], labels: list[str], classes: set[str], rows: list[Row]
) -> str:
    split, domain = where
    names = sorted(set(labels))
    number = counted(len(labels), "image")
    hint = _spelling_hint(names, classes)
    if split != "source":
        return (
            f"Left out {number} of the {split} split whose class has no training image "
            f"({listed(names)}): no model trained here could name it{hint}."
        )
    if not any(row.domain == domain and row.label in classes for row in rows if row.split == split):
        return (
            f"Left out the source '{domain}' ({number}): none of its classes ({listed(names)}) is "
            f"a class of the target ({listed(sorted(classes))}){hint}."
        )
    return (
        f"Left out {number} of the source '{domain}' whose classes the target does not have: "
        f"{listed(names)}{hint}."
    )


def _spelling_hint(names: list[str], classes: set[str]) -> str:
    """'; is 'Dogs' the class 'dog'?' for a name that is nearly one of the classes."""
    plain = {name.casefold(): name for name in sorted(classes)}
    for name in names:
        near = difflib.get_close_matches(name.casefold(), list(plain), 1, 0.8)
        if near:
            return f"; if '{name}' is meant to be '{plain[near[0]]}', give both the same name"
    return ""


def _check_enough(target: Path, rows: list[Row], classes: set[str]) -> None:
    if not classes:
        raise DataError(
            f"No image in {target} has a label and there is no source to learn from: sort some "
            f"images into one folder per class, or add --source with a labelled folder."
        )
    if len(classes) == 1:
        raise DataError(
            f"There is only one class ('{next(iter(classes))}') in {target}{_nested_hint(target)}: "
            f"at least two are needed, one folder per class or a CSV with a label column."
        )
    splits = {row.split for row in rows}
    if not splits & {"train", "unlabelled"} or ("val" in splits and "train" not in splits):
        raise DataError(
            f"{target} has no target image to learn from, only {_split_list(rows)}: add a train "
            f"split, or an unlabelled one beside a source."
        )


def _nested_hint(target: Path) -> str:
    """A lone folder of folders is most likely a wrapper round the class folders."""
    children = [path for path in target.iterdir() if path.is_dir()] if target.is_dir() else []
    if len(children) == 1 and any(path.is_dir() for path in children[0].iterdir()):
        return f" (should {children[0]} be the target?)"
    return ""


def _split_list(rows: list[Row]) -> str:
    return listed(sorted({f"{row.split} images" for row in rows}))


def _test_split(rows: list[Row]) -> TestSplit | None:
    test = [(row.path, row.given, row.label) for row in rows if row.split == "test" and row.label]
    if not test:
        return None
    paths, given, labels = zip(*test, strict=True)
    return TestSplit(paths, given, labels)
