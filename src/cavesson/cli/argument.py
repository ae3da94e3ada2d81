"""`cavesson argument`: a structured argument, held against what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.options import Place, write_text

if TYPE_CHECKING:
    from cavesson.argument import Argument, JudgedNode
    from cavesson.estimate import Estimate
    from cavesson.lab.store import Store

RUN = "run:"
COLOURS = {"supported": "green", "judgement": "dim", "open": "yellow", "contradicted": "red"}


def argument(
    file: Annotated[
        Path | None, typer.Argument(help="A YAML file of claims, evidence, assumptions and doubts.")
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(metavar="INTERVENTION", help="Take the argument of the evidence card instead of a file."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="JSON file of the figures of the artifact `card`, by name.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the argument as a page with folds.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    store: Place = None,
) -> None:
    """Check an argument, and show which of its leaves the measurements bear out; ends with 1 if they contradict it.

    A leaf's artifact is a fingerprint of scores, a JSON file beside the argument, `card`, or run:NAME.

    The figures of run:NAME are the ids of the run's statements.

    Example: cavesson argument why-pirate.yaml --html why-pirate.html
    """
    from rich.text import Text
    from rich.tree import Tree

    from cavesson.argument import as_json as json_of
    from cavesson.argument import as_markdown, default_argument, judge, load_argument
    from cavesson.argument.rendering import as_page
    from cavesson.errors import ConfigError
    from cavesson.lab.show.terminal import Console
    from cavesson.lab.store import Store

    if (file is None) == (default is None):
        raise ConfigError("There is no argument to read.", "Give a file, or --default INTERVENTION; one of the two.")
    read = default_argument(default or "") if file is None else load_argument(file)
    judged = judge(read, measured_for(read, Store(store), Path() if file is None else file.parent, figures))
    if html is not None:
        write_text("--html", html, as_page(judged))
        typer.echo(f"page: {html}", err=True)
    if markdown or as_json:
        typer.echo(json_of(judged) if as_json else as_markdown(judged), nl=as_json)
    else:
        seen: set[str] = set()

        def grown(node: JudgedNode, tree: Tree) -> None:
            for child in node.children if node.id not in seen else ():
                grown(child, tree.add(_line(child)))
            seen.add(node.id)

        def _line(node: JudgedNode) -> Text:
            says = f" [{node.says}]" if node.says else ""
            return Text.assemble(
                (node.word, COLOURS[node.state]), f" · {node.kind} {node.id}: {node.text}{says} ", (node.why, "dim")
            )

        tree = Tree(_line(judged.root))
        grown(judged.root, tree)
        console = Console(highlight=False)
        console.print(tree)
        console.print(judged.sentence)
    if judged.state == "contradicted":
        raise typer.Exit(1)


def measured_for(
    argument: Argument, store: Store, folder: Path, figures: Path | None
) -> dict[str, dict[str, Estimate]]:
    """The figures of the artifacts that an argument names; artifacts that are nowhere are left out."""
    found = {} if figures is None else {"card": figures_in(figures)}
    for name in dict.fromkeys(node.artifact for node in argument.nodes.values() if node.artifact):
        if name.startswith(RUN):
            found[name] = _of_run(name.removeprefix(RUN), store)
        elif name.endswith(".json"):
            found[name] = figures_in(folder / name)
        elif re.fullmatch(r"[0-9a-f]{8,32}", name):
            found[name] = _of_scores(name, store)
    return {name: held for name, held in found.items() if held}


def figures_in(path: Path) -> dict[str, Estimate]:
    """The figures of a JSON file: {"removed": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 200, "method": "Wilson"}}.

    Raises:
        ConfigError: there is no such file, or it holds something else.
    """
    from pydantic import TypeAdapter, ValidationError

    from cavesson.errors import ConfigError
    from cavesson.findings.views import Figure
    from cavesson.lab.documents import in_words
    from cavesson.lines import parse_json

    try:
        return TypeAdapter(dict[str, Figure]).validate_python(parse_json(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"The figures {path} cannot be read: {error.strerror}.", "Check the path.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ConfigError(
            f"{path}: {where}: {in_words(first)}.",
            'A figure is {"value": …, "low": …, "high": …, "n": …, "method": …}.',
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}).", "Write one object: figure's name → figure.") from error


def _of_run(name: str, store: Store) -> dict[str, Estimate]:
    """The figures behind the statements of a finished run."""
    from cavesson.cli.reports import finished

    runs = [run for run in finished(store.root) if run.name.startswith(name)]
    return {claim.id: claim.ours for claim in runs[0].result.claims if claim.ours is not None} if runs else {}


def _of_scores(fingerprint: str, store: Store) -> dict[str, Estimate]:
    """The rates of an artifact of scores, by label; along a run also by label@step."""
    from cavesson.evals.scores import DERIVED, SCORES, read_scores

    if not any(entry.fingerprint.startswith(fingerprint) for entry in store.ls()):
        return {}
    folder = store.path(store.find(fingerprint))
    if not (folder / SCORES).exists():
        return {}
    scores = read_scores(folder)
    steps = [None, *scores.steps]
    labels = [*scores.evals, *DERIVED]
    return {
        label if step is None else f"{label}@{step}": scores.rate(label, step)
        for step in steps
        for label in labels
        if scores.has(label, step)
    }
