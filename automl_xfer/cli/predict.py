"""`automl-xfer predict`: labels and probabilities for images, as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from automl_xfer.cli.study_options import existing_store, storage_options
from automl_xfer.errors import BundleError, DataError


@click.command("predict")
@click.argument("model", metavar="STUDY|BUNDLE")
@click.argument("paths", nargs=-1, required=True)
@click.option("--out", required=True, metavar="FILE", help="CSV to write.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda[:i].")
@click.option("--plugins-dir", metavar="DIR", help="Folder of single-file plugins.")
@storage_options
def predict_command(
    model: str,
    paths: tuple[str, ...],
    out: str,
    device: str,
    plugins_dir: str | None,
    storage: str | None,
    studies_dir: Path,
) -> None:
    """Predict the class of images: files, folders, or CSVs with an `image` column."""
    images = list(expand(paths))
    from automl_xfer.bundle import load_bundle
    from automl_xfer.plugin.source import PluginSource

    directory = bundle_directory(model, storage, studies_dir)
    source = PluginSource(Path(plugins_dir) if plugins_dir else None)
    bundle = load_bundle(directory, device=device, plugins=source)
    unreadable = 0
    with _writer(Path(out)) as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "confidence", *bundle.classes])
        predictions = bundle.predict([path for _, path in images])
        for (given, _), prediction in zip(images, predictions, strict=True):
            if prediction.problem:
                unreadable += 1
                click.echo(f"warning: {given}: {prediction.problem}", err=True)
            values = [f"{value:.6f}" for value in prediction.probabilities]
            confidence = "" if prediction.confidence is None else f"{prediction.confidence:.6f}"
            empty = [""] * (len(bundle.classes) - len(values))
            writer.writerow([given, prediction.label or "", confidence, *values, *empty])
    done = len(images) - unreadable
    click.echo(f"{done} of {len(images)} images predicted, written to {out}", err=True)


def bundle_directory(model: str, storage: str | None, studies_dir: Path) -> Path:
    """The bundle folder that a path or a study name stands for."""
    from automl_xfer.bundle.format import DESCRIPTION

    folder = Path(model)
    named = folder.is_dir() and len(folder.parts) > 1
    if named or (folder / DESCRIPTION).exists():  # a study may be called like a folder of images
        return folder
    record = existing_store(storage, studies_dir).get_study(model)
    if record.result is None or "bundle" not in record.result:
        raise BundleError(
            f"study {model!r} has no bundle yet; go on with its search until it finishes"
        )
    recorded, moved = Path(record.result["bundle"]), studies_dir / model / "bundle"
    return recorded if (recorded / DESCRIPTION).exists() else moved  # the folder may have moved


def _writer(path: Path):  # type: ignore[no-untyped-def]
    try:
        return path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot write {path} ({error.strerror}); name another file with --out"
        ) from error


def expand(paths: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """(as given, path) of every image: files as they are, folders in order of name, CSV rows.

    Hidden files of a folder are no images of the user's.
    """
    from automl_xfer.data.rows import IMAGE_SUFFIXES

    for text in paths:
        path = Path(text)
        if path.is_dir():
            found = sorted(
                p
                for p in path.rglob("*")
                if p.suffix.lower() in IMAGE_SUFFIXES
                and not any(part.startswith(".") for part in p.relative_to(path).parts)
            )
            if not found:
                raise DataError(f"{path} has no images; give a folder of images")
            yield from ((str(each), each) for each in found)
        elif path.suffix.lower() in (".csv", ".tsv"):
            yield from _csv_images(path)
        elif not path.exists():
            raise DataError(f"{path} does not exist; give image files, folders or a CSV")
        else:
            yield text, path


def _csv_images(path: Path) -> Iterator[tuple[str, Path]]:
    from automl_xfer.data.csv_table import delimiter_of, read_text

    try:
        text = read_text(path)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
        if "image" not in (reader.fieldnames or ()):
            names = ", ".join(reader.fieldnames or ()) or "none"
            raise DataError(f"{path} needs a column called image; it has {names}")
        for row in reader:
            given = row["image"] or ""  # a row too short to have one stays in the output
            yield given, path.parent / given
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror}); give image files, folders or a CSV"
        ) from error
    except csv.Error as error:
        raise DataError(f"{path} is no valid CSV ({error}); check quotes and delimiters") from error
