"""`automl-xfer studies`: list, show and delete."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from automl_xfer.cli.study_options import as_json, existing_store, storage_options
from automl_xfer.study.records import StudyRecord, TrialRecord, TrialState

_UNTOLD = ("thumbnails", "features")
"""Facts that are long and for programs; `--json` has them."""


@click.group("studies")
def studies_group() -> None:
    """List, show and delete studies."""


@studies_group.command("list")
@storage_options
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def list_command(storage: str | None, studies_dir: Path, json_output: bool) -> None:
    """List all studies of the database."""
    store = existing_store(storage, studies_dir)
    studies = store.list_studies()
    if json_output:
        click.echo(json.dumps([as_json(study) for study in studies], indent=2))
        return
    if not studies:
        click.echo("There is no study yet; begin one with `automl-xfer search --target DIR`.")
        return
    table = Table("Study", "Phase", "Trials", "Best", "Metric", "Spent", "Begun (UTC)", box=None)
    for study in studies:
        table.add_row(*_row(study, store.trials(study.name)))
    Console().print(table)


@studies_group.command("show")
@click.argument("name")
@storage_options
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def show_command(name: str, storage: str | None, studies_dir: Path, json_output: bool) -> None:
    """Show what one study was asked and what it found."""
    store = existing_store(storage, studies_dir)
    study = store.get_study(name)
    trials = store.trials(name)
    if json_output:
        shown = {**as_json(study), "trials": [as_json(trial) for trial in trials]}
        click.echo(json.dumps(shown, indent=2))
        return
    table = Table("", "", box=None, show_header=False)
    for title, text in _details(study, trials).items():
        table.add_row(title, text)
    Console().print(table, markup=False)


@studies_group.command("delete")
@click.argument("name")
@storage_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_command(name: str, storage: str | None, studies_dir: Path, yes: bool) -> None:
    """Delete a study and its trials from the database; its folder of files stays."""
    store = existing_store(storage, studies_dir)
    store.get_study(name)
    count = len(store.trials(name))
    if not yes:
        click.confirm(f"Delete study {name} with {count} trials?", abort=True)
    store.delete_study(name)
    click.echo(f"Deleted study {name} with {count} trials.")
    if (studies_dir / name).is_dir():
        click.echo(f"Its files are still in {studies_dir / name}.")


def _row(study: StudyRecord, trials: list[TrialRecord]) -> tuple[str, ...]:
    return (
        study.name,
        study.phase,
        _count(trials),
        _best(study, trials),
        study.metric,
        _minutes(study.seconds_spent),
        f"{study.created:%Y-%m-%d %H:%M}",
    )


def _details(study: StudyRecord, trials: list[TrialRecord]) -> dict[str, str]:
    details = {
        "Study": study.name,
        "Phase": study.phase,
        "Begun": f"{study.created:%Y-%m-%d %H:%M} UTC, automl-xfer {study.version}",
        "Spent": _minutes(study.seconds_spent),
        "Trials": _count(trials),
        "Metric": study.metric,
        "Best": _best(study, trials),
        "Seed": str(study.seed),
    }
    told = {name: value for name, value in study.facts.items() if name not in _UNTOLD}
    details |= {name: _short(value) for name, value in {**told, **study.options}.items()}
    if study.result is not None:
        details |= _found(study)
    return details


def _found(study: StudyRecord) -> dict[str, str]:
    result = study.result or {}
    found = {}
    if winner := result.get("winner"):
        found["Winner"] = "\n".join(winner.get("members", [winner["description"]]))
    if test := result.get("test"):
        scores = ", ".join(f"{name} {score:.4f}" for name, score in test["scores"].items())
        found["Test"] = f"{scores} on {test['n']} images"
    if bundle := result.get("bundle"):
        found["Bundle"] = bundle
    if notes := result.get("notes"):
        found["Notes"] = "\n".join(notes)
    return found


def _count(trials: list[TrialRecord]) -> str:
    failed = sum(trial.state is TrialState.FAILED for trial in trials)
    return f"{len(trials)} ({failed} failed)" if failed else str(len(trials))


def _best(study: StudyRecord, trials: list[TrialRecord]) -> str:
    if study.result and (winner := study.result.get("winner")):
        return f"{winner['score']:.4f}"
    scores = [t.score for t in trials if t.state is TrialState.COMPLETE and t.score is not None]
    return f"{max(scores):.4f}" if scores else "none yet"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
