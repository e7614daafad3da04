"""The command group: commands are imported when they are called, errors become one sentence."""

import errno
import sys
from importlib import import_module

import click

from automl_xfer import __version__
from automl_xfer.errors import AutomlXferError, Stopped

_COMMANDS = {
    "search": ("automl_xfer.cli.search", "search_command"),
    "inspect": ("automl_xfer.cli.inspect", "inspect_command"),
    "leaderboard": ("automl_xfer.cli.leaderboard", "leaderboard_command"),
    "predict": ("automl_xfer.cli.predict", "predict_command"),
    "dashboard": ("automl_xfer.cli.dashboard", "dashboard_command"),
    "studies": ("automl_xfer.cli.studies", "studies_group"),
    "cache": ("automl_xfer.cli.cache", "cache_group"),
    "plugins": ("automl_xfer.cli.plugins", "plugins_group"),
    "demo": ("automl_xfer.cli.demo", "demo_command"),
}

_FULL = (errno.ENOSPC, errno.EDQUOT)


class _LazyGroup(click.Group):
    """Knows its commands by name and imports a command's file only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *sorted(super().list_commands(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module, attribute = _COMMANDS[cmd_name]
            command: click.Command = getattr(import_module(module), attribute)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="automl-xfer")
def cli() -> None:
    """Find the best way to transfer a pretrained model to a new image domain."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error of ours is printed as one sentence, without a traceback."""
    try:
        _add_plugin_commands()
        cli.main(arguments, prog_name="automl-xfer")
    except AutomlXferError as error:
        click.echo(f"{error}" if isinstance(error, Stopped) else f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        click.echo(f"Error: {_disk_full(error)}", err=True)
        sys.exit(AutomlXferError.exit_code)


def _disk_full(error: OSError) -> str:
    where = f" under {error.filename}" if error.filename else ""
    return f"the disk{where} is full; free some space and run the same command again"


def _add_plugin_commands() -> None:
    """Let plugins add commands; one that fails to is named. `plugins list` names the others."""
    from automl_xfer.plugin.manager import make_manager

    loaded = make_manager()
    known = len(loaded.problems)
    loaded.call("register_commands", cli=cli)
    for problem in loaded.problems[known:]:
        click.echo(f"warning: {problem.message}", err=True)
