"""`automl-xfer search`: parse, run, print."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from automl_xfer.cli.live import make_view
from automl_xfer.errors import ConfigError, Stopped

if TYPE_CHECKING:
    from automl_xfer.search.options import SearchOptions
    from automl_xfer.study.records import StudyRecord

_AXES = (
    "freezing",
    "alignment",
    "sources",
    "augmentation",
    "head",
    "regularizer",
    "optimization",
)
METRICS = ("accuracy", "balanced-accuracy", "macro-f1", "weighted-f1", "cohen-kappa")


def _axis_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for axis in reversed(_AXES):
        command = click.option(
            f"--{axis}",
            metavar="NAMES",
            help=f"Allow only these {axis} components, joined by commas.",
        )(command)
    return command


@click.command("search")
@click.option(
    "--target", metavar="PATH", help="Folder (class folders, split folders or flat) or CSV."
)
@click.option("--source", multiple=True, metavar="PATH", help="Labelled other domain; repeatable.")
@click.option("--time-limit", metavar="TIME", help="The whole run, such as 90s, 10m, 2h. [10m]")
@click.option("--trials", type=int, help="At most this many strategies.")
@click.option("--study", metavar="NAME", help="The same name goes on where it stopped.")
@click.option("--storage", metavar="URL", help="Study database. [SQLite under the studies folder]")
@click.option("--studies-dir", metavar="DIR", help="Where studies go. [studies]")
@click.option("--backbone", multiple=True, metavar="PATTERN", help="timm names, * allowed.")
@click.option("--weights-dir", metavar="DIR", help="Local timm folders, in place of the hub.")
@click.option("--metric", type=click.Choice(METRICS), help="What to optimise. [accuracy]")
@click.option("--image-size", type=int, help="Pixels a side. [224; 160 on a CPU with many images]")
@click.option(
    "--prefer",
    type=click.Choice(("accuracy", "speed")),
    help="speed: one model, the fastest of those that labels cannot tell apart. [accuracy]",
)
@click.option(
    "--max-latency-ms", type=float, metavar="MS", help="Of the model, for one image, here."
)
@click.option("--device", metavar="NAME", help="auto, cpu or cuda[:i]. [auto]")
@click.option(
    "--compile/--no-compile", default=None, help="torch.compile long training on a GPU. [no]"
)
@click.option("--seed", type=int, help="Seed of folds, sampler and training. [0]")
@_axis_options
@click.option("--plugins-dir", metavar="DIR", help="Folder of single-file plugins.")
@click.option(
    "--disable-plugin", "disabled_plugins", multiple=True, metavar="NAME", help="Repeatable."
)
@click.option("--config", metavar="FILE", help="Study file (TOML); options given here win.")
@click.option("--save-config", metavar="FILE", help="Write all options to a study file.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every trial.")
@click.option("-q", "--quiet", is_flag=True, help="Warnings and the result only.")
def search_command(
    config: str | None,
    save_config: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Search for the best way to transfer a pretrained model to the target."""
    options = make_options(config, given)
    if save_config:
        from automl_xfer.search.options import write_study_file

        write_study_file(options, Path(save_config))
    record = run(options, as_json=as_json, verbose=verbose, quiet=quiet)
    show_result(record, options, as_json)


def make_options(config: str | None, given: dict[str, Any]) -> "SearchOptions":
    """Options from a study file with the command line's on top."""
    from automl_xfer.search.options import SearchOptions, read_study_file

    data = read_study_file(Path(config)) if config else {}
    names = {axis: given.pop(axis) for axis in _AXES}
    choices = {axis: _listed(text) for axis, text in names.items() if text}
    data |= {key: value for key, value in given.items() if value not in (None, ())}
    stored = data.get("choices", {})
    if choices and isinstance(stored, dict):  # what else it may be, from_dict refuses
        data["choices"] = stored | choices
    return SearchOptions.from_dict(data)


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def run(options: "SearchOptions", *, as_json: bool, verbose: bool, quiet: bool) -> "StudyRecord":
    """Run the search under a live view, with Ctrl-C as a polite request first."""
    from automl_xfer.search.child import prepare_children

    prepare_children()  # which then import beside us
    from automl_xfer.search.run import run_search

    console = Console(stderr=True)
    view = make_view(
        console,
        quiet=quiet or as_json,
        verbose=verbose,
        deadline_seconds=options.time_limit,
    )
    with view, stop_on_interrupt(console) as should_stop:
        try:
            return run_search(options, view, should_stop)
        except KeyboardInterrupt:
            raise Stopped("stopped: finished trials are kept; the same command goes on") from None


@contextmanager
def stop_on_interrupt(console: Console) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks to finish, the second stops at once."""
    asked = False

    def handle(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.print("Stopping: the best so far is fitted and written. Ctrl-C again stops now.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_result(record: "StudyRecord", options: "SearchOptions", as_json: bool) -> None:
    """What was found, what it beat, where it is."""
    result = record.result
    if result is None:
        raise ConfigError(f"study {record.name!r} has no result yet")
    if as_json:
        click.echo(json.dumps({"study": record.name, **result}, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    winner = result["winner"]
    percent = bool(winner["interval"])  # without target labels scores are validators' numbers
    members = winner.get("members", [winner["description"]])
    console.print(f"winner: {members[0] if len(members) == 1 else f'{len(members)} models'}")
    for member in members if len(members) > 1 else []:
        console.print(f"    {member}")
    console.print(f"  {result['signal']}: {_number(winner['score'], winner['interval'], percent)}")
    for baseline in result["baselines"]:
        if baseline["score"] is None:
            console.print(f"  {baseline['name']}: {baseline['failure'] or 'not run'}")
        elif baseline["gain"] is None:
            console.print(f"  {baseline['name']}: {_number(baseline['score'], None, percent)}")
        else:
            gain = _number(baseline["gain"], baseline["gain_interval"], sign=True)
            console.print(f"  {baseline['name']}: {_number(baseline['score'], None)}, gain {gain}")
    if test := result.get("test"):
        value = test["scores"][result["metric"]]
        console.print(f"  test split, {test['n']} images: {_number(value, test['interval'])}")
        for baseline in result["baselines"]:
            if "test_gain" in baseline:
                gain = _number(baseline["test_gain"], baseline["test_gain_interval"], sign=True)
                told = _number(baseline["test_score"], None)
                console.print(f"    {baseline['name']}: {told}, gain {gain}")
    for note in result["notes"]:
        console.print(f"  note: {note}")
    for line in (  # paths and commands to copy are never broken in two
        f"report: {options.directory / 'report.html'}",
        f"bundle: {result['bundle']}",
        "go on:  the same command; each run adds its --time-limit",
        f"predict: automl-xfer predict {result['bundle']} IMAGES... --out preds.csv",
    ):
        console.print(line, soft_wrap=True)


def _number(
    value: float, interval: list[float] | None, percent: bool = True, *, sign: bool = False
) -> str:
    form = ("+" if sign else "") + (".1%" if percent else ".3f")
    text = format(value, form)
    if interval:
        text += f" ({format(interval[0], form)} to {format(interval[1], form)})"
    return text
