"""A command that takes the options of the study that its first argument names: `cavesson run STUDY --model …`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand
from typer.main import get_command

from cavesson.cli.options import How
from cavesson.errors import ConfigError, nearest

if TYPE_CHECKING:
    from cavesson.studies.flags import Flag

FLAGS, GIVEN, HOW, STUDY, TYPED = (f"cavesson.{key}" for key in ("flags", "given", "how", "study", "typed"))
"""Keys in the command's context of the study's options, their values, how to carry it out, the study's name, and the typed words."""

PREFIX = "study_option_"
"""Start of the names of parameters for a study's options; the options are numbered in order."""

SYNONYMS = {"learning-rate": ("lr", "lrs"), "learning-rates": ("lrs",), "lr": ("lr", "lrs")}
"""Options that other programs have, and the names of the keys that they mean here."""


class StudyCommand(TyperCommand):
    """`run` with the options of the named study, `run STUDY --help` lists them, and those of `How`."""

    def __init__(self, *args: Any, params: list[Any], **settings: Any) -> None:
        self.carrying_out = _command(How)
        mine = {field.name for field in fields(How)}
        added = [param for param in self.carrying_out.params if param.name in mine]
        super().__init__(*args, params=[*params, *added], **settings)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find the study, then parse the command line with the study's options.

        Raises:
            ConfigError: no study is named, or it has no such option.
        """
        self.choose_study(ctx, args)
        if STUDY not in ctx.meta and not ctx.resilient_parsing and {"-h", "--help"}.isdisjoint(args):
            from cavesson.studies.study import STUDIES

            names = f"Name one: {', '.join(STUDIES)}; or a study file."
            raise ConfigError("`cavesson run` needs a study.", names)
        ctx.meta[TYPED] = {word.partition("=")[0] if word.startswith("--") else word[:2] for word in args}
        known = {name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)}
        for word in args[: args.index("--")] if "--" in args else args:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in known:
                study = f"The study {ctx.meta[STUDY]!r}" if STUDY in ctx.meta else "The command"
                raise ConfigError(f"{study} has no option {name}.", _meant(name, known, ctx))
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own options and the study's options."""
        return [*super().get_params(ctx), *_options(ctx.meta.get(FLAGS, ()))]

    def invoke(self, ctx: Any) -> Any:
        """Move the values of the study's options, and of how to carry the study out, from the parameters into the context."""
        asked = {field.name: ctx.params.pop(field.name) for field in fields(How)}
        ctx.meta[HOW] = self.carrying_out.callback(**asked)
        values = {name: ctx.params.pop(name) for name in list(ctx.params) if name.startswith(PREFIX)}
        flags = ctx.meta.get(FLAGS, ())
        typed = {flags[int(name.removeprefix(PREFIX))]: given for name, given in values.items() if given}
        names = {flag: next(name for name in flag.names if name in ctx.meta[TYPED]) for flag in typed}
        ctx.meta[GIVEN] = {name: (flag.key, flag.value(typed[flag], name)) for flag, name in names.items()}
        return super().invoke(ctx)

    def choose_study(self, ctx: Any, args: Sequence[str]) -> None:
        """Put the name and the options of the study that a command line names, if any, into the context.

        A key of the study that is called like an option of the command has no option of its own; `--set` sets the key.

        Raises:
            ConfigError: there is no such study, or it cannot be loaded.
        """
        from cavesson.studies.flags import flags_of
        from cavesson.studies.resolve import study_in

        own = super().get_params(ctx)
        taken = {name for param in own for name in (*param.opts, *param.secondary_opts)}
        switches = {name for param in own if getattr(param, "is_flag", False) for name in param.opts}
        words = iter(args)
        for word in words:
            if not word.startswith("-"):
                found = flags_of(study_in(word).config)
                ctx.meta[STUDY], ctx.meta[FLAGS] = word, [flag for flag in found if taken.isdisjoint(flag.names)]
                return
            attached = "=" in word if word.startswith("--") else len(word) > 2  # --bench=maths, -bmaths
            if not attached and word not in switches:
                next(words, None)  # the option's value


class OneStudysCommand(StudyCommand):
    """A command with the options of one study, without those that the command's argument replaces."""

    study: ClassVar[str]
    replaced: ClassVar[tuple[str, ...]]

    def choose_study(self, ctx: Any, args: Sequence[str]) -> None:
        """Take the options of the study."""
        from cavesson.studies.flags import flags_of
        from cavesson.studies.study import study_named

        ctx.meta[STUDY] = self.study
        ctx.meta[FLAGS] = [flag for flag in flags_of(study_named(self.study).config) if flag.key not in self.replaced]


def given_flags(ctx: typer.Context) -> dict[str, tuple[str, Any]]:
    """The study's options that the user gave: option as typed → (dotted key, value)."""
    found: dict[str, tuple[str, Any]] = ctx.meta.get(GIVEN, {})
    return found


def how(ctx: typer.Context) -> How:
    """How the user asked for the study to be carried out."""
    found: How = ctx.meta[HOW]
    return found


def _meant(name: str, known: Iterable[str], ctx: Any) -> str:
    """What an unknown option may mean: a key of the study, as an option or for `--set`, or an option with nearly this name."""
    from cavesson.lab.documents import keys_called
    from cavesson.studies.resolve import study_in

    word = name.removeprefix("--")
    keys = SYNONYMS.get(word, (word.replace("-", "_"),))
    found = [
        one for key in keys for one in (keys_called(study_in(ctx.meta[STUDY]).config, key) if STUDY in ctx.meta else [])
    ]
    options = {flag.key: flag.names[0] for flag in ctx.meta.get(FLAGS, ())}
    exact = [options.get(one, f"--set {one}=…") for one in found if one.rpartition(".")[2] in keys]
    if exact:
        return f"Did you mean {' or '.join(exact)}?"
    return nearest(name, (option for option in known if option.startswith("--")))


def _options(flags: Sequence[Flag]) -> list[Any]:
    """The study's options as Typer's parameters, which Typer makes from a function's signature."""

    def command() -> None:
        """The function with the signature."""

    annotations = {
        f"{PREFIX}{number}": Annotated[
            list[str] | None,
            typer.Option(
                *flag.names,
                help=flag.help,
                metavar="A,B" if flag.many else "VALUE",
                rich_help_panel="Options of this study",
            ),
        ]
        for number, flag in enumerate(flags)
    }
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=found) for name, found in annotations.items()
    ]
    command.__annotations__, command.__signature__ = annotations, Signature(parameters)  # type: ignore[attr-defined]
    return [param for param in _command(command).params if str(param.name).startswith(PREFIX)]


def _command(function: Callable[..., Any]) -> Any:
    """A command of its own whose options are a function's parameters; its `callback` takes their values."""
    made = typer.Typer(add_completion=False)
    made.command()(function)
    return get_command(made)
