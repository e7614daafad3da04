"""`automl-xfer leaderboard`: a study's trials by score."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from automl_xfer.cli.study_options import as_json, existing_store, storage_options
from automl_xfer.report.leaderboard import rank
from automl_xfer.study.descriptions import told_apart, trial_name
from automl_xfer.study.records import StudyRecord, TrialRecord, TrialState

_SHOWN = 20


@click.command("leaderboard")
@click.argument("study")
@storage_options
@click.option("--all", "show_all", is_flag=True, help=f"All trials, not the best {_SHOWN} only.")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def leaderboard_command(
    study: str, storage: str | None, studies_dir: Path, show_all: bool, json_output: bool
) -> None:
    """Show the trials of STUDY, the best first, and what failed."""
    store = existing_store(storage, studies_dir)
    record = store.get_study(study)
    trials = rank(store.trials(study))
    if json_output:
        click.echo(json.dumps(_json(record, trials), indent=2))
        return
    console = Console()
    if not any(trial.state is TrialState.COMPLETE for trial in trials):
        console.print(f"No trial of study {study} is complete yet.", markup=False)
    shown = trials if show_all else trials[:_SHOWN]
    if shown:
        console.print(_table(record, shown))
    for trial in trials:
        if trial.failure_kind is not None:
            console.print(_failure(trial), style="red", markup=False, highlight=False)
    if len(trials) > _SHOWN and not show_all:
        console.print(f"{len(trials) - _SHOWN} more trials; show them with --all.")


def _json(study: StudyRecord, trials: list[TrialRecord]) -> dict[str, object]:
    winners = _winners(study)
    rows = [{**as_json(trial), "winner": trial.id in winners} for trial in trials]
    return {"study": study.name, "metric": study.metric, "trials": rows}


def _winners(study: StudyRecord) -> set[int]:
    """Ids of the winner's trials."""
    winner = study.result.get("winner") if study.result else None
    return set(winner["trials"]) if winner else set()


def _table(study: StudyRecord, trials: list[TrialRecord]) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("Rank", justify="right", no_wrap=True)
    table.add_column("Trial", no_wrap=True)
    table.add_column("Strategy", overflow="fold")
    for title in (study.metric.capitalize(), "Seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    winners = _winners(study)
    told = told_apart(trials)
    for place, trial in enumerate(trials, start=1):
        style = "bold green" if trial.id in winners else "cyan" if trial.baseline else ""
        table.add_row(*_row(place, trial, told[trial.id], trial.id in winners), style=style)
    return table


def _row(place: int, trial: TrialRecord, told: str, won: bool) -> list[Text]:
    complete = trial.state is TrialState.COMPLETE
    cells = (
        ("★ " if won else "") + str(place) if complete else "",
        trial_name(trial),
        told + (f" (baseline: {trial.baseline})" if trial.baseline else ""),
        "" if trial.score is None else f"{trial.score:.4f}",
        f"{trial.timings['total']:.1f}" if "total" in trial.timings else "",
        str(trial.failure_kind or trial.state),
    )
    return [Text(cell) for cell in cells]


def _failure(trial: TrialRecord) -> str:
    first = (trial.failure_message or "").strip().partition("\n")[0]
    who = f"Trial {trial.number}" if trial.number is not None else trial.description
    return f"{who} failed ({trial.failure_kind}): {first or 'no message'}"
