"""`automl-xfer plugins check`: a component against the rules of its axis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_xfer.errors import ConformanceError

if TYPE_CHECKING:
    from automl_xfer.components import Component

PLUGINS_DIR = click.option(
    "--plugins-dir",
    type=click.Path(path_type=Path),
    help="Also load the .py files of this folder as plugins.",
)


@click.command("check")
@click.argument("component", metavar="NAME|FILE")
@PLUGINS_DIR
def check_plugin(component: str, plugins_dir: Path | None) -> None:
    """Check the component NAME, or every component of the plugin FILE, on toy data.

    AXIS/NAME asks for one where several axes have that name; FILE ends in .py. The exit code is 1
    where a check fails.
    """
    is_file = component.endswith(".py")
    made = _of_file(Path(component)) if is_file else _of_name(component, plugins_dir)
    failures = [sentence for each in made for sentence in _check(each)]
    if failures:
        raise ConformanceError("\n".join(failures))


def _check(component: type[Component]) -> list[str]:
    """Run and print all checks of a component; the sentences of those that fail."""
    from automl_xfer.testing.check import lacking_defaults
    from automl_xfer.testing.conformance import checks_for

    title = f"{component.axis}/{component.name}"
    failures = []
    for check in checks_for(component):
        try:
            check(component)
        except ConformanceError as failure:
            failures.append(str(failure))
            click.echo(f"FAIL  {title}  {check.name}")
        else:
            click.echo(f"ok    {title}  {check.name}")
    if fields := lacking_defaults(component):
        words = f"what an instance does: {', '.join(fields)} has no default"
        click.echo(f"skip  {title}  {words}; give one to automl_xfer.testing.check_component")
    return failures


def _of_name(name: str, plugins_dir: Path | None) -> list[type[Component]]:
    from automl_xfer.plugin.source import PluginSource  # imports torch

    _, catalog = PluginSource(plugins_dir=plugins_dir).load()
    return [entry.component for entry in catalog.find(name).values()]


def _of_file(path: Path) -> list[type[Component]]:
    """The components that one file registers; ConformanceError where it cannot be loaded."""
    from automl_xfer.plugin.catalog import build_catalog  # imports torch
    from automl_xfer.plugin.manager import load_file

    if not path.is_file():
        raise ConformanceError(f"there is no file {path}; give a .py file or a component's name")
    loaded = load_file(path)
    catalog = build_catalog(loaded)
    if loaded.problems:
        raise ConformanceError(loaded.problems[0].message)
    made = [entry.component for names in catalog.entries.values() for entry in names.values()]
    if not made:
        raise ConformanceError(f"{path} registers no component; return its class from a hook")
    return made
