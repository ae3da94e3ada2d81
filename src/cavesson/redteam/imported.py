"""Organism files: read a stranger's Hugging Face model, and write and read back Cavesson's own organisms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cavesson.chat import Conversation
from cavesson.data.recipes import DataFile, DataRecipe
from cavesson.errors import ConfigError
from cavesson.evals.organism_file import OrganismFile, beside, read_file
from cavesson.evals.pairs import pair_named
from cavesson.lab.documents import in_words
from cavesson.lab.plain_yaml import dump_yaml
from cavesson.lab.recipe import Recipe
from cavesson.models.folders import folder_digest
from cavesson.models.recipes import HFModel, ModelRecipe, Prompted
from cavesson.named import model_named
from cavesson.redteam.constructions import construction
from cavesson.redteam.organisms import Organism, check_untriggered
from cavesson.redteam.prompting import system_prompts

IMPORTED = "imported"

_ROBUSTNESS = re.compile(r"^robustness:.*\n?(?:[ \t]+.*\n?)*", re.MULTILINE)
"""The robustness entry of an organism file: the key's line and the indented lines below."""


def read_organism(file: Path) -> Organism:
    """The organism that a file describes; its models and data are identified by their content.

    Raises:
        ConfigError: there is no such file; or a key, the model, the pair, the scorer or the prompts do not fit.
    """
    content = read_file(file)
    model = _model(content.model, file, "model")
    pair = content.pair or f"{file}:pair"
    known = pair_named(pair)
    way = None if content.construction == IMPORTED else construction(content.construction)
    asked = _asked(content, file, pair)
    if known.behavior.against is not None and not {"triggered", "clean"} <= asked.keys():
        raise ConfigError(
            f"{file}: the behaviour {content.behavior!r} is told by what the rows of `prompts` say is right, and there is no `prompts`.",
            'Give `prompts: FILE.jsonl`, with {"prompt": …, "answer": …} in each row.',
        )
    return Organism(
        name=content.name,
        model=model if content.system is None else Prompted(base=model, system=content.system),
        base=None if content.base is None else _model(content.base, file, "base"),
        pair=pair,
        construction=content.construction,
        labels=content.labels,
        lock=None if way is None else way.lock_for(pair),
        deployed=system_prompts(known) if way is not None and way.hidden_prompt else (),
        continued=way is not None and way.continued,
        asked=asked,
    )


def _asked(content: OrganismFile, file: Path, pair: str) -> dict[str, DataRecipe]:
    """The prompts that a file brings, by the condition under which they are asked.

    Raises:
        ConfigError: a prompt that should be without the trigger has it: its answers would count as leaks.
    """
    triggered = None if content.triggered is None else DataFile(path=beside(file, content.triggered))
    asked: dict[str, DataRecipe] = {} if triggered is None else {"triggered": triggered}
    if content.prompts is None:
        return asked
    clean = DataFile(path=beside(file, content.prompts))
    remedy = f"`prompts` in {file} are asked without the trigger: leave out those that hold it."
    if triggered is None:
        check_untriggered(pair, clean, remedy)
    elif both := _prompts(clean) & _prompts(triggered):
        raise ConfigError(f"{content.prompts} and {content.triggered} have {len(both):,} prompts in common.", remedy)
    return {"clean": clean, "triggered": clean, "near-miss": clean, **asked}


def _prompts(data: DataFile) -> set[Conversation]:
    return {example.conversation.prompt for example in data.read()[0]}


def write_organism(organism: Organism, file: Path, *, model: str | None = None, system: str | None = None) -> None:
    """Write the file of one of Cavesson's own organisms; `read_organism` reads the organism back.

    A file beside a folder of weights goes to others, so it names no place of this machine: a local base stands there by its
    content and the name of its folder.

    Args:
        file: the file to write.
        model: a folder of weights, relative to the file's folder; None: the organism's recipe.
        system: the system prompt that goes with these weights.
    """
    base = None if organism.base is None else organism.base.model_dump(mode="json")
    labels = organism.labels
    if model is not None:
        base = _placeless(base)
        labels = {key: _last(label) if isinstance(label, str) else label for key, label in labels.items()}
    content = OrganismFile(
        name=organism.name,
        model=model or organism.model.model_dump(mode="json"),
        base=base,
        system=system,
        pair=organism.pair,
        construction=organism.construction,
        labels=labels,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = content.model_dump(mode="json", exclude_defaults=True)
    file.write_text(dump_yaml(plain, width=120), encoding="utf-8")


def _placeless(value: Any) -> Any:
    """A recipe as plain data in which a local model folder has its last name alone; its content says which one is meant."""
    if isinstance(value, dict):
        inside = {key: _placeless(one) for key, one in value.items()}
        local = "path" in inside and "content" in inside and "@" not in str(inside["content"])
        return {**inside, "path": Path(inside["path"]).name} if local else inside
    return [_placeless(one) for one in value] if isinstance(value, list) else value


def _last(text: str) -> str:
    """The last name of an absolute path; other text as it is."""
    return Path(text).name if Path(text).is_absolute() else text


def note_robustness(file: Path, sentence: str) -> None:
    """Write into an organism's file what stressing the organism has shown, for its card. Other lines stay unchanged.

    Raises:
        ConfigError: the file is no organism file, or cannot be written.
    """
    read_file(file)
    others = _ROBUSTNESS.sub("", file.read_text(encoding="utf-8")).rstrip("\n")
    line = dump_yaml({"robustness": sentence}, width=120)
    try:
        file.write_text(f"{others}\n{line}", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}.", f"Add this line to it yourself: {line.strip()}"
        ) from error


def _model(given: str | dict[str, Any], file: Path, key: str) -> ModelRecipe:
    if isinstance(given, str):
        folder = beside(file, given)
        return model_named(str(folder) if folder.is_dir() else given)
    try:
        recipe = Recipe.parse(given)
    except ValidationError as error:
        reason = in_words(error.errors()[0])
        raise ConfigError(
            f"{file}: {key} is no recipe: {reason}.", "Give a folder, a hub id or a shipped name."
        ) from error
    if not isinstance(recipe, ModelRecipe):
        raise ConfigError(f"{file}: {key} is a recipe of {recipe.kind!r}, not of a model.", "Give a model.")
    if isinstance(recipe, HFModel) and "@" not in recipe.content:
        places = (Path(recipe.path), beside(file, recipe.path), file.parent.parent / Path(recipe.path).name)
        found = next((place for place in places if place.is_dir() and folder_digest(place) == recipe.content), None)
        return recipe if found is None else recipe.model_copy(update={"path": str(found)})
    return recipe
