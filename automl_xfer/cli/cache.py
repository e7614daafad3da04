"""`automl-xfer cache`: what is kept between runs because it can be computed again."""

from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from automl_xfer.cli.study_options import studies_dir_option
from automl_xfer.errors import ConfigError
from automl_xfer.transfer.cache_folder import CacheEntry, CacheFolder

_SHOWN = {
    "images": "Decoded images",
    "features": "Features of backbones",
    "stages": "Activations of frozen stages",
    "weights": "Trained weights",
}


@click.group("cache")
def cache_group() -> None:
    """Show or clear what searches keep to be faster next time."""


@cache_group.command("show")
@studies_dir_option
def show_command(studies_dir: Path) -> None:
    """Show what the cache holds."""
    folder = _folder(studies_dir)
    entries = [*folder.images(), *folder.entries()]
    table = Table("Kind", "Files", "Size", "Last read", box=None)
    for kind, title in _SHOWN.items():
        mine = [entry for entry in entries if entry.kind == kind]
        last = max((entry.read for entry in mine), default=None)
        when = "never" if last is None else f"{datetime.fromtimestamp(last):%Y-%m-%d %H:%M}"
        table.add_row(title, str(len(mine)), _size(mine), when)
    Console().print(table)
    limit = decimal(folder.limit)
    click.echo(
        f"In {folder.directory}. All but decoded images may take {limit}; beyond that the files "
        "that were not read for longest are deleted."
    )


@cache_group.command("clear")
@studies_dir_option
@click.option("--images", is_flag=True, help="Decoded images too; no search may be running.")
def clear_command(studies_dir: Path, images: bool) -> None:
    """Delete features, activations and weights; the next search computes them again."""
    folder = _folder(studies_dir)
    gone = folder.entries()
    gone += folder.images() if images else []
    for entry in gone:
        entry.path.unlink(missing_ok=True)
    click.echo(f"Deleted {len(gone)} files, {_size(gone)}, in {folder.directory}.")


def _folder(studies_dir: Path) -> CacheFolder:
    directory = studies_dir / ".cache"
    if not directory.is_dir():
        raise ConfigError(
            f"there is no cache in {studies_dir}: no search ran there yet; say where the studies "
            "are with --studies-dir"
        )
    return CacheFolder(directory)


def _size(entries: list[CacheEntry]) -> str:
    return decimal(sum(entry.size for entry in entries))
