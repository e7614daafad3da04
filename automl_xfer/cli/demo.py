"""`automl-xfer demo`: the real search on data that needs no download."""

from pathlib import Path

import click

from automl_xfer.cli.search import run, show_result


@click.command("demo")
@click.option("--time-limit", default="4m", show_default=True, help="The whole run.")
@click.option("--studies-dir", default="studies", show_default=True, help="Where studies go.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every trial.")
@click.option("-q", "--quiet", is_flag=True, help="Warnings and the result only.")
def demo_command(
    time_limit: str, studies_dir: str, as_json: bool, verbose: bool, quiet: bool
) -> None:
    """Handwritten digits with few labels as target, digits drawn from fonts as source."""
    from automl_xfer.data.demo import write_demo_data
    from automl_xfer.search.options import SearchOptions, parse_duration

    data = write_demo_data(Path(studies_dir) / "demo-data")
    options = SearchOptions(
        target=str(data.target_csv),
        study="demo",
        studies_dir=studies_dir,
        time_limit=parse_duration(time_limit),
        backbone=("small-convnet",),
        image_size=32,
    )
    if not as_json:
        click.echo(
            f"This is: automl-xfer search --target {data.target_csv} --study demo "
            f"--backbone small-convnet --image-size 32 --time-limit {time_limit} "
            f"--studies-dir {studies_dir}",
            err=True,
        )
    show_result(run(options, as_json=as_json, verbose=verbose, quiet=quiet), options, as_json)
