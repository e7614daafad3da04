"""`automl-xfer inspect`: the health of the data before anyone trains on it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from automl_xfer.data import HealthReport, ScannedData

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_SHOWN_FILES = 10


@click.command("inspect")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Labelled folder or CSV of another domain; repeatable.",
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def inspect_command(target: Path, sources: tuple[Path, ...], json_output: bool) -> None:
    """Look at every image of TARGET, a folder or a CSV, and say what is wrong with the data."""
    # Imported here, so that --help does not wait for numpy and Pillow.
    from automl_xfer.data import check_health, scan

    scanned = scan(target, sources)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Looking at the images", total=None)
        checked, report = check_health(
            scanned, progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    if json_output:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _print(Console(), checked, report)


def _print(console: Console, checked: "ScannedData", report: "HealthReport") -> None:
    console.print(_counts(report))
    console.print(_sentence(checked, report), markup=False)
    if not report.findings:
        console.print("Nothing wrong found.", style="green")
    for finding in report.findings:
        style = _COLOURS[finding.severity]
        console.print(Text.assemble((f"{finding.severity}: ", style), finding.message))
    if report.quarantined:
        console.print(_quarantined(report))


def _counts(report: "HealthReport") -> Table:
    """Classes down, splits across; sources bear their names."""
    columns = list(dict.fromkeys(_column(c.split, c.domain) for c in report.counts))
    labels = sorted({c.label for c in report.counts if c.label is not None})
    cells = {(c.label, _column(c.split, c.domain)): c.images for c in report.counts}
    table = Table(title="Readable images", title_justify="left")
    table.add_column("class")
    for column in columns:
        table.add_column(Text(column), justify="right")
    for label in labels:
        table.add_row(Text(label), *_numbers(cells.get((label, column), 0) for column in columns))
    if any(label is None for label, _ in cells):
        table.add_row(
            "(labels not used)", *_numbers(cells.get((None, column), 0) for column in columns)
        )
    table.add_section()
    totals = (sum(n for (_, own), n in cells.items() if own == column) for column in columns)
    table.add_row("all", *_numbers(totals))
    return table


def _column(split: str, domain: str) -> str:
    return f"source {domain}" if split == "source" else split


def _numbers(values: Iterable[int]) -> list[str]:
    return [f"{value:,}" if value else "-" for value in values]


def _sentence(checked: "ScannedData", report: "HealthReport") -> str:
    width, height = report.statistics.width, report.statistics.height
    kind = "with labels" if checked.manifest.select("train") else "without any label"
    return (
        f"Target {kind}, {len(checked.manifest.classes)} classes, images {width[0]} to {width[2]} "
        f"px wide and {height[0]} to {height[2]} px high (typically {width[1]} x {height[1]}), "
        f"{report.statistics.grey_share:.0%} without colour."
    )


def _quarantined(report: "HealthReport") -> Table:
    table = Table(title="Unreadable images", title_justify="left")
    table.add_column("image", overflow="fold")
    table.add_column("reason", overflow="fold")
    for given, reason in report.quarantined[:_SHOWN_FILES]:
        table.add_row(Text(given), Text(reason))
    more = len(report.quarantined) - _SHOWN_FILES
    if more > 0:
        table.add_row(f"and {more} more (--json lists all)", "")
    return table
