"""Which chat template a tokenizer has."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from cavesson.errors import ConfigError
from cavesson.models.notes import note
from cavesson.models.template import ChatTemplate
from cavesson.models.trial import tried


def template_of(tokenizer: PreTrainedTokenizerBase, name: str) -> ChatTemplate:
    """The chat template of a tokenizer; of several named ones, the one named `default`. A choice between two is announced.

    Args:
        name: the model's name, for messages.

    Raises:
        ConfigError: there is no chat template, or none named `default`, or it is no template that can be used.
    """
    source = tokenizer.chat_template
    if source and isinstance(source, dict):
        if "default" not in source:
            named = ", ".join(map(repr, source))
            raise ConfigError(
                f"{name} has several chat templates ({named}), and none of them is named 'default'.",
                "Write the one that you mean into the model's folder as chat_template.jinja.",
            )
        others = [other for other in source if other != "default"]
        if others:
            note(f"{name} has further chat templates besides 'default', which are not used: {', '.join(others)}.")
        source = source["default"]
    if not isinstance(source, str) or not source.strip():
        raise ConfigError(
            f"{name} has no chat template.", "Use a chat model, or put a chat_template.jinja into its folder."
        )
    _announce_other(Path(str(tokenizer.name_or_path)).expanduser(), name)
    return tried(source, dict(tokenizer.special_tokens_map), name)


def _announce_other(folder: Path, name: str) -> None:
    """Say which template counts if a folder holds two different ones."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if not (file.is_file() and config.is_file()):
        return
    try:
        other = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
        same = other is None or (isinstance(other, str) and other.strip() == file.read_text(encoding="utf-8").strip())
    except (ValueError, AttributeError):  # transformers has its own words for a broken file
        return
    if not same:
        note(f"{name} has two different chat templates: chat_template.jinja counts, not that of tokenizer_config.json.")
