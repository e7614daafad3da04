"""`automl-xfer inspect`: the health of the data before anyone trains on it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from automl_xfer.data import HealthReport, ScannedData
    from automl_xfer.search.measure_domains import MeasuredSource

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_SHOWN_FILES = 10
_DISTANCES_IN_WORDS = (
    "proxy A: 0 to 2; 2 when a linear classifier tells the domains apart without error. "
    "consistent: nearest neighbours in the source that share a label. agrees: target labels that "
    "the nearest source image has too. shares apart: total variation of the class shares, 0 to 1."
)


@click.command("inspect")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Labelled folder or CSV of another domain; repeatable.",
)
@click.option("--backbone", metavar="NAME", help="Measure the sources on this timm model.")
@click.option(
    "--weights-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Measure the sources on a model of this folder, in place of the hub.",
)
@click.option("--image-size", type=int, default=160, show_default=True, help="Pixels a side.")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def inspect_command(
    target: Path,
    sources: tuple[Path, ...],
    backbone: str | None,
    weights_dir: Path | None,
    image_size: int,
    json_output: bool,
) -> None:
    """Look at every image of TARGET, a folder or a CSV, and say what is wrong with the data.

    With --backbone or --weights-dir also: how far each source lies from the target.
    """
    # Imported here, so that --help does not wait for numpy and Pillow.
    from automl_xfer.data import check_health, scan

    scanned = scan(target, sources)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Looking at the images", total=None)
        checked, report = check_health(
            scanned, progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    measured = []
    if checked.manifest.sources and (backbone or weights_dir):
        measured = _measure(checked, backbone, weights_dir, image_size)
    if json_output:
        rows = [asdict(each) for each in measured]
        click.echo(json.dumps({**report.to_dict(), "sources": rows}, indent=2))
        return
    _print(Console(), checked, report)
    if measured:
        Console().print(_distances(measured))
        click.echo(_DISTANCES_IN_WORDS)
    elif checked.manifest.sources:
        click.echo("How far do the sources lie? Give --weights-dir or --backbone to measure it.")


def _measure(
    checked: "ScannedData", backbone: str | None, weights_dir: Path | None, image_size: int
) -> "list[MeasuredSource]":
    """Every source on the first backbone that these options offer."""
    from automl_xfer.components import BackboneRequest
    from automl_xfer.errors import ConfigError
    from automl_xfer.plugin.source import PluginSource
    from automl_xfer.search.measure_domains import measure_domains

    patterns = (backbone,) if backbone else ()
    offered = PluginSource().load()[1].backbones(BackboneRequest(patterns, weights_dir))
    pretrained = [each for each in offered if each.initialisation == "pretrained"]
    if not pretrained:
        raise ConfigError(f"{backbone!r} has no pretrained weights; give another --backbone")
    return measure_domains(checked.manifest, pretrained[0], image_size)


def _distances(measured: "list[MeasuredSource]") -> Table:
    """A row for each source."""
    table = Table(title="Sources, as far as they lie from the target", title_justify="left")
    for column in (
        "source",
        "proxy A",
        "Fréchet",
        "MMD²",
        "consistent",
        "agrees",
        "shares apart",
    ):
        table.add_column(column, justify="left" if column == "source" else "right")
    for each in measured:
        distance = each.distance
        numbers = (distance.proxy_a, distance.frechet, distance.mmd)
        agreement = "-" if each.agreement is None else f"{each.agreement:.0%}"
        apart = "-" if each.prior_difference is None else f"{each.prior_difference:.2f}"
        table.add_row(
            Text(each.name),
            *("-" if number is None else f"{number:.2f}" for number in numbers),
            f"{each.consistency:.0%}",
            agreement,
            apart,
        )
    return table


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
