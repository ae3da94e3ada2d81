"""Models by name, as a user gives them on the command line or in a study file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from cavesson.data.everyday import EVERYDAY, EverydayTeacher
from cavesson.errors import CavessonError, ConfigError, nearest
from cavesson.lab.documents import path_named
from cavesson.lab.recipe import Recipe
from cavesson.models.adapted import Adapted
from cavesson.models.folders import adapter_on_hub, as_folder, base_of_adapter, looks_like_path
from cavesson.models.gguf import PACKAGED, gguf_file
from cavesson.models.recipes import HFModel, ModelRecipe, Templated, TemplateValue
from cavesson.models.tinker import PREFIX as TINKER
from cavesson.models.tinker import tinker_model, tinker_parts
from cavesson.sampling.openai import PREFIX, api_model
from cavesson.sampling.served import PREFIX as SERVED
from cavesson.sampling.served import Served, served_model, served_parts
from cavesson.tinyworld.recipes import Shipped, shipped_names

if TYPE_CHECKING:
    from cavesson.lab.store import Store

_FINGERPRINT = re.compile(r"(?P<prefix>[0-9a-f]{4,32})(?:@(?P<step>\d+))?")

_ARGUMENTS = re.compile(r"(?P<name>.+?)(?P<arguments>(?::[A-Za-z_]\w*=[^:]*)+)", re.DOTALL)
OPENING = ("dtype", "device_map")
"""What may stand behind a model's name beside arguments of its chat template: how its weights are opened."""

_WORDS: dict[str, TemplateValue] = {"true": True, "false": False, "none": None, "null": None}


def model_named(name: str, store: Store | None = None) -> ModelRecipe:
    """The recipe of a model.

    Args:
        name: a shipped model (`student`), a local Hugging Face folder, `owner/name` on the hub, a GGUF file or the packaged
            one named `smollm2`, the first digits of a stored model's fingerprint (with `@100` behind them for the checkpoint at step 100), or a model behind an
            OpenAI-compatible endpoint (`openai:MODEL@https://host/v1`), which writes answers and cannot be trained, or any model
            with weights that vLLM or SGLang samples from (`served:MODEL@http://host:8000/v1`), or a base model that the Tinker
            service trains and samples from (`tinker:MODEL`, with `@TOKENIZER` behind it where the name is no hub id with a chat template).
            Behind the name of a model with weights, `:enable_thinking=false` sets an argument of the chat template. Behind that of a
            folder, a hub model, an adapter on one or a GGUF file, `:dtype=bfloat16` says in which type its weights are held, and
            `:device_map=auto` where (`cavesson.models.placement`).
        store: the store in which fingerprints are looked up; None: fingerprints are refused.

    Raises:
        ConfigError: there is no such model; the message offers the nearest name.
    """
    plain, given = template_arguments(name)
    if given:
        return _with_arguments(plain, given, store)
    if name in shipped_names():
        return Shipped(name=name)
    if name == EVERYDAY:
        return EverydayTeacher()
    if name.startswith(PREFIX):
        return api_model(name)
    if name.startswith(TINKER):
        there, tokenizer = tinker_parts(name)
        return tinker_model(there, _tokenizer(name, tokenizer, store))
    if name.startswith(SERVED):
        served, url = served_parts(name)
        return served_model(model_named(served, store), url)
    if gguf_file(name) is not None:
        return HFModel(path=name)
    if (folder := as_folder(name)) is not None:
        base = base_of_adapter(folder)
        return HFModel(path=str(folder)) if base is None else _adapted(folder, base, store)
    if store is not None and (found := _FINGERPRINT.fullmatch(name)):
        return _model_in_store(found["prefix"], found["step"], store)
    if name.count("/") == 1 and not looks_like_path(name):
        return _on_hub(name, store)
    if store is None and _FINGERPRINT.fullmatch(name):
        raise ConfigError(
            f"There is no model {name!r}: a study file takes no fingerprints, because it must mean the same in every store.",
            f"Write the model into a folder and give the folder: cavesson export {name} FOLDER",
        )
    raise ConfigError(
        f"There is no model {name!r}.",
        f"{nearest(name, (*shipped_names(), *PACKAGED))} Give a shipped name, a local folder, owner/name of a hub model"
        + (", or the first digits of a stored model's fingerprint." if store is not None else "."),
    )


def _tokenizer(name: str, tokenizer: str, store: Store | None) -> ModelRecipe:
    """The model whose tokenizer and chat template a model at a service has."""
    remedy = f"Name a model, here or on the hub, that has them: {name.partition('@')[0]}@MODEL"
    try:
        found = model_named(tokenizer, store)
    except ConfigError as error:
        raise ConfigError(f"The tokenizer of {name!r} is not to be had: {error.problem}", remedy) from error
    if not found.opens:
        raise ConfigError(f"{tokenizer!r} has no tokenizer for {name!r}.", remedy)
    return found


def template_arguments(name: str) -> tuple[str, dict[str, TemplateValue]]:
    """A model's name and the arguments of its chat template that stand behind the name.

    Raises:
        ConfigError: an argument is given twice, or its value may be meant as true or false and is neither.
    """
    found = _ARGUMENTS.fullmatch(name)
    if found is None or Path(name).expanduser().exists():
        return name, {}
    given: dict[str, TemplateValue] = {}
    for pair in found["arguments"].split(":")[1:]:
        key, _, text = pair.partition("=")
        if key in given:
            raise ConfigError(f"{name!r} gives the argument {key!r} twice.", "Leave one of the two out.")
        given[key] = _argument(text, pair)
    return found["name"], given


def _argument(text: str, pair: str) -> TemplateValue:
    """A value as JSON, or as the text that it is."""
    if text.lower() in {"yes", "no", "on", "off", ""}:
        raise ConfigError(f"The argument {pair!r} of a chat template has no clear value.", "Write true or false.")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (str, int)) or (isinstance(value, float) and isfinite(value)) else text


def with_template(name: str, template: Mapping[str, TemplateValue]) -> str:
    """A model's name with arguments of its chat template behind it; those that the name holds already are not repeated.

    Raises:
        ConfigError: the name gives another value, or a value cannot stand in a name.
    """
    _, held = template_arguments(name)
    for key, value in template.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if ":" in text or _argument(text, f"{key}={text}") != value:
            raise ConfigError(f"The argument {key!r} of a chat template cannot be {value!r}.", "Write a plain value.")
        if held.get(key, value) != value:
            raise ConfigError(
                f"{name!r} gives the argument {key!r} of its chat template, and `template` gives {value!r}.",
                "Leave one of the two out.",
            )
        name = name if key in held else f"{name}:{key}={text}"
    return name


def _with_arguments(name: str, given: dict[str, TemplateValue], store: Store | None) -> ModelRecipe:
    model = model_named(name, store)
    opening = {key: str(given.pop(key)) for key in OPENING if key in given}
    if opening:
        model = _opened(model, opening, name)
    arguments = tuple(given.items())
    if not arguments:
        return model
    if isinstance(model, HFModel):
        return model.changed(template_args=arguments)
    if isinstance(model, Shipped):
        read = (model.folder / "chat_template.jinja").read_text(encoding="utf-8")
        odd = next((key for key in given if re.search(rf"\b{re.escape(key)}\b", read) is None), None)
        if odd is not None:
            raise ConfigError(
                f"The chat template of {name!r} does not read the argument {odd!r}.",
                "Only models that reason read arguments: try reasoner:enable_thinking=false.",
            )
    elif not model.has_weights:
        raise ConfigError(
            f"{name!r} takes no arguments of its chat template ({', '.join(given)}).",
            "Give them with a model whose weights are here; a service writes its prompts itself.",
        )
    return Templated(base=model, arguments=arguments)


def _opened(model: ModelRecipe, opening: Mapping[str, str], name: str) -> ModelRecipe:
    """A model with the weights that it rests on opened in another type, or elsewhere.

    Raises:
        ConfigError: the model is opened in one way only, or there is no such type.
    """
    if isinstance(model, HFModel):
        return model.changed(**opening)
    if isinstance(model, (Adapted, Served)):
        return model.model_copy(update={"base": _opened(model.base, opening, name)})
    keys = " and ".join(opening)
    if not model.has_weights:
        raise ConfigError(f"{name!r} takes no {keys}: it has no weights here.", "Leave it out.")
    raise ConfigError(
        f"{name!r} takes no {keys}: only models from folders, the hub or GGUF files do.",
        "Leave it out; for a model that was trained here, export its weights (cavesson export) and name their folder.",
    )


def _on_hub(name: str, store: Store | None) -> ModelRecipe:
    """A model on the hub; of an adapter alone, the adapter on the model that it names."""
    model = HFModel(path=name)
    folder = adapter_on_hub(name, model.content.partition("@")[2])
    base = None if folder is None else base_of_adapter(folder)
    return model if folder is None or base is None else _adapted(folder, base, store)


def _adapted(folder: Path, base: str, store: Store | None) -> ModelRecipe:
    """The recipe of an adapter's folder on the model that the folder names."""
    _refuse_circle(folder, base)
    try:
        below = model_named(base, store)
    except ConfigError as error:
        raise ConfigError(
            f"The adapter in {str(folder)!r} was trained on {base!r}. {error.problem}",
            'Write a name that works here into its adapter_config.json: "base_model_name_or_path".',
        ) from error
    return Adapted(base=below, path=str(folder))


def _refuse_circle(folder: Path, base: str) -> None:
    """Refuse an adapter whose folder is among the bases that it rests on."""
    seen, beneath = {folder.resolve()}, path_named(base)
    while beneath.is_dir() and (further := base_of_adapter(beneath)) is not None:
        if beneath.resolve() in seen:
            raise ConfigError(
                f"The adapter in {str(folder)!r} rests on itself, by way of the base {base!r}.",
                'Write the model that it was trained on into its adapter_config.json: "base_model_name_or_path".',
            )
        seen.add(beneath.resolve())
        beneath = path_named(further)


def _model_in_store(prefix: str, step: str | None, store: Store) -> ModelRecipe:
    """The recipe of a model in the store, or of its checkpoint at a step."""
    manifest = store.manifest(store.find(prefix))
    try:
        recipe = Recipe.parse(manifest.recipe)
    except (CavessonError, ValueError) as error:
        raise ConfigError(
            f"The recipe of {manifest.fingerprint[:12]} cannot be read by this version of Cavesson: {error}",
            "Make it again.",
        ) from error
    if not isinstance(recipe, ModelRecipe):
        raise ConfigError(
            f"The artifact {manifest.fingerprint[:12]} is not a model but {manifest.title} ({manifest.kind}).",
            "List the models: cavesson store ls --kind trained",
        )
    if recipe.fingerprint != manifest.fingerprint:
        made = manifest.versions.get("cavesson", "another version")
        raise ConfigError(
            f"The model {manifest.fingerprint[:12]} was made by Cavesson {made}; this version would train another one in its place.",
            f"Run its study again, or name its weights: {store.path(manifest.fingerprint) / 'final'}",
        )
    if step is None:
        return recipe
    return _checkpoint(recipe, int(step), manifest.fingerprint)


def _checkpoint(recipe: ModelRecipe, step: int, fingerprint: str) -> ModelRecipe:
    from cavesson.training.recipes import Training

    if not isinstance(recipe, Training):
        raise ConfigError(f"The model {fingerprint[:12]} has no checkpoints.", "Leave the @ and the step out.")
    try:
        return recipe.at(step)
    except ValueError as error:
        kept = ", ".join(map(str, (*recipe.checkpoints, recipe.steps)))
        raise ConfigError(f"The model {fingerprint[:12]} has no step {step}.", f"It has: {kept}.") from error
