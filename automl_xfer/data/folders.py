"""Read a folder of images: class folders, split folders of class folders, or flat."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from automl_xfer.data.rows import (
    IMAGE_SUFFIXES,
    SIDE_FILE_SUFFIXES,
    SPLIT_NAMES,
    Reading,
    Row,
    RowSplit,
)
from automl_xfer.data.wording import counted, listed
from automl_xfer.errors import DataError

_UNLABELLED_NAMES = {name for name, split in SPLIT_NAMES.items() if split == "unlabelled"}


def read_folder(root: Path, domain: str) -> Reading:
    """All images below `root` with the split and class that the layout gives them.

    Class folders are `train`; split folders are recognised by name; a flat folder is
    `unlabelled`. Symbolic links are followed, hidden files ignored, and everything below a class
    folder, however deep, belongs to that class.

    Raises:
        DataError: the folder is empty or holds no image.
    """
    reader = _FolderReader(root, domain)
    reader.read()
    reading = Reading(reader.rows, reader.warnings)
    if not reading.rows:
        raise DataError(_nothing_found(root, reader.skipped))
    if reader.skipped:
        reading.warnings.append(
            f"Ignored {counted(reader.skipped.total(), 'file')} in {root} that are not images "
            f"({_suffixes(reader.skipped)})."
        )
    return reading


@dataclass
class _FolderReader:
    root: Path
    domain: str
    rows: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def read(self) -> None:
        folders = _subfolders(self.root)
        splits = {folder: SPLIT_NAMES.get(folder.name.lower()) for folder in folders}
        if _is_split_layout(splits):
            self._read_splits(splits)
        else:
            self._read_classes(self.root, "train")

    def _read_splits(self, splits: dict[Path, RowSplit | None]) -> None:
        for folder, split in splits.items():
            if split is None:
                self._warn_left_out(list(self._images_below(folder)), f"{folder} (not a split)")
            elif split == "unlabelled":
                self._add(list(self._images_below(folder)), split, None)
            else:
                self._read_classes(folder, split)
        self._warn_left_out(self._images_in(self.root), f"{self.root} beside the split folders")

    def _read_classes(self, folder: Path, split: RowSplit) -> None:
        direct = self._images_in(folder)
        below = {child: list(self._images_below(child)) for child in _subfolders(folder)}
        classes = {child: images for child, images in below.items() if images}
        if not classes:
            self._read_flat(folder, direct, split)
            return
        self._warn_left_out(direct, f"{folder} beside the class folders")
        self._warn_empty([child.name for child, images in below.items() if not images], folder)
        self._warn_look_alikes(list(classes))
        for child, images in classes.items():
            if child.name.lower() in _UNLABELLED_NAMES:
                self._add(images, "unlabelled", None)
            else:
                self._add(images, split, child.name)

    def _read_flat(self, folder: Path, images: list[Path], split: RowSplit) -> None:
        if images and split in ("train", "val") and folder != self.root:
            raise DataError(
                f"The {counted(len(images), 'image')} in {folder} lie in no class folder, so they "
                f"have no label: sort them into one folder per class, rename the folder to "
                f"'unlabelled', or give a CSV with the columns image,label,split."
            )
        self._add(images, "unlabelled" if folder == self.root else split, None)

    def _add(self, images: list[Path], split: RowSplit, label: str | None) -> None:
        top = Path(self.root.resolve().name)
        for path in images:
            given = str(top / path.relative_to(self.root))
            self.rows.append(Row(path.absolute(), given, split, self.domain, label))

    def _images_in(self, folder: Path) -> list[Path]:
        """Images directly in a folder; counts the other files it passes."""
        images = []
        for path in _visible(folder):
            if path.is_dir():
                continue
            suffix = path.suffix.lower()
            if suffix in IMAGE_SUFFIXES:
                images.append(path)
            elif suffix not in SIDE_FILE_SUFFIXES:
                self.skipped[suffix or "no suffix"] += 1
        return images

    def _images_below(self, folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
        real = folder.resolve()
        if real in above:  # a symbolic link that leads back up
            return
        yield from self._images_in(folder)
        for child in _subfolders(folder):
            yield from self._images_below(child, above | {real})

    def _warn_left_out(self, images: list[Path], where: str) -> None:
        if images:
            self.warnings.append(
                f"Left out {counted(len(images), 'image')} in {where}, for instance "
                f"{images[0].name}: move them into a class folder or into 'unlabelled'."
            )

    def _warn_empty(self, names: list[str], folder: Path) -> None:
        if names:
            self.warnings.append(
                f"Ignored {counted(len(names), 'folder')} without images in {folder}: "
                f"{listed(names)}."
            )

    def _warn_look_alikes(self, classes: list[Path]) -> None:
        splits = [child.name for child in classes if child.name.lower() in SPLIT_NAMES]
        taken = [name for name in splits if name.lower() not in _UNLABELLED_NAMES]
        if taken:
            self.warnings.append(
                f"Took {listed(taken)} as a class because other class folders lie beside it; for "
                f"split folders, put all class folders into 'train'."
            )
        inside = [{child.name for child in _subfolders(folder)} for folder in classes]
        if len(inside) > 1 and len(inside[0]) > 1 and all(names == inside[0] for names in inside):
            self.warnings.append(
                f"The folders {listed(child.name for child in classes)} were taken as classes, but "
                f"each holds the same folders ({listed(sorted(inside[0]))}): if they are domains, "
                f"give one as the target and the others as sources."
            )


def _visible(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir())
    return [path for path in paths if not path.name.startswith((".", "__MACOSX"))]


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _is_split_layout(splits: dict[Path, RowSplit | None]) -> bool:
    """All folders bear split names, or one is a `train` that itself holds folders.

    A class may be called 'train' or 'valid', so one such name among others proves nothing.
    """
    if any(split == "train" and _subfolders(folder) for folder, split in splits.items()):
        return True
    return bool(splits) and None not in splits.values()


def _suffixes(skipped: Counter[str]) -> str:
    return listed(f"{number} {suffix}" for suffix, number in skipped.most_common())


def _nothing_found(root: Path, skipped: Counter[str]) -> str:
    if not _visible(root):
        return f"The folder {root} is empty: give a folder of images or of class folders."
    seen = f" (found: {_suffixes(skipped)})" if skipped else ""
    return (
        f"There is no image in {root} or below it{seen}: give a folder with .jpg, .png, .webp, "
        f".tif or other image files, in one folder per class if they are labelled."
    )
