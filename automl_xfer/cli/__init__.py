"""The command line: one file per command; each parses, calls and prints."""

from automl_xfer.cli.main import cli, main

__all__ = ["cli", "main"]
