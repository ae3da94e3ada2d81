"""Which chat templates work, and how: a Markdown table, made by rendering. `python tests/templates.py` prints the table."""

from __future__ import annotations

import re
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from cavesson.chat import Conversation, Message, visible
from cavesson.errors import ConfigError
from cavesson.models.rendering import Renderer
from families import SPECIAL_CASES, TEMPLATES, _byte_level, tokenizer_for

_THOUGHT = "<think>\nTwo and two.\n</think>\n\n"


def _talk(*answers: str, system: str | None = None) -> Conversation:
    turns = [] if system is None else [Message("system", system)]
    for question, answer in zip(("2 + 2?", "Sure?"), answers, strict=False):
        turns += [Message("user", question), Message("assistant", answer)]
    return Conversation(tuple(turns))


TALKS = {
    "one answer": _talk("It is 4."),
    "several": _talk("It is 4.", "Yes."),
    "system": _talk("It is 4.", system="Be brief."),
    "reasoning": _talk(f"{_THOUGHT}It is 4."),
    "reasoning, several": _talk(f"{_THOUGHT}It is 4.", f"{_THOUGHT}Yes."),
}
"""The conversations that are tried."""

_NAMES = r"<[|｜][^<>\s]{1,40}[|｜]>|<\|?[a-z]+\|?>(?=<)|</?s>|<(?:start|end)_of_\w+>|<\|turn>|<turn\|>|<\|channel>|<channel\|>|\[/?[A-Z_]+\]"
_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<turn|>",
    "<|return|>",
    "<｜end▁of▁sentence｜>",
    "<|END_OF_TURN_TOKEN|>",
)


def stored() -> dict[str, Path]:
    """TRL's collection of templates, if TRL is installed."""
    found = find_spec("trl")
    folders = (
        [] if found is None else [Path(place) / "chat_templates" for place in found.submodule_search_locations or ()]
    )
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.jinja"))}


def renderer_for(source: str) -> Renderer:
    """A renderer with a small tokenizer whose special tokens are those that the template names."""
    special = sorted({name for name in re.findall(_NAMES, source) if "think" not in name} | {"<bos>", "<eos>"})
    backend = Tokenizer.from_str(_byte_level(("<bos>", "<eos>")))
    backend.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=next((name for name in (*_ENDS, "<|end|>") if name in special), "<eos>"),
        bos_token="<bos>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = source
    return Renderer(tokenizer)


def prove(renderer: Renderer, talk: Conversation) -> None:
    """Render a conversation and check that every answer continues the prompt that asks for it, and reads as it was written.

    Raises:
        ConfigError: the renderer refuses the conversation.
    """
    ids, mask = renderer.render(talk)
    runs = [list(run) for trained, run in groupby(range(len(ids)), key=lambda at: mask[at]) if trained]
    answers = [index for index, message in enumerate(talk.messages) if message.role == "assistant"]
    assert len(runs) == len(answers), "one stretch of trained tokens for each answer"
    for run, index in zip(runs, answers, strict=True):
        assert ids[: run[0]] == renderer.prompt(Conversation(talk.messages[:index])), "the answer continues its prompt"
        written = renderer.decode([ids[at] for at in run])
        assert visible(written).strip() == visible(talk.messages[index].content).strip(), "the answer reads as written"
    assert ids[runs[-1][-1]] in renderer.stop_ids, "the last answer ends"
    last = talk.messages[-1].content
    if "<think>" in last:
        read = renderer.decode([ids[at] for at in runs[-1]])
        assert read.split() == last.split() or re.sub(r"\s", "", read) == re.sub(r"\s", "", last), (
            "reasoning is trained"
        )


def tried(renderer: Renderer, talk: Conversation) -> str:
    """ "yes", or the sentence that refuses the conversation."""
    try:
        prove(renderer, talk)
    except ConfigError as error:
        return f"{error.problem.replace(renderer.name, 'MODEL')} {error.remedy}"
    except AssertionError as error:
        return f"WRONG: not so: {str(error).splitlines()[0]}"
    return "yes"


def variants(renderer: Renderer) -> dict[str, Renderer]:
    """The renderer under each argument that turns thinking on or off, or keeps it."""
    return {
        f"{name}={str(value).lower()}": renderer.with_arguments({name: value})
        for name in renderer.template.arguments
        if "think" in name
        for value in (False, True)
    }


def _can_split(renderer: Renderer, talk: Conversation) -> bool:
    """Whether the template can be split, without a search for the way out if it cannot."""
    try:
        return all(renderer.splitter.split(talk.messages, prompt=False)[0].proven)
    except ConfigError:
        return False


def row(renderer: Renderer) -> dict[str, str]:
    """For each kind of conversation "yes", the arguments under which the conversation works, or the refusing sentence."""
    cells = {kind: tried(renderer, talk) for kind, talk in TALKS.items()}
    others = {} if set(cells.values()) == {"yes"} else variants(renderer)
    for kind, talk in TALKS.items():
        if cells[kind] != "yes":
            working = [
                f"`{name}`" for name, one in others.items() if _can_split(one, talk) and tried(one, talk) == "yes"
            ]
            cells[kind] = f"with {' or '.join(working)}" if working else cells[kind]
    return cells


def table() -> str:
    """The table of all templates: TRL's collection, and the shapes in `families.py`."""
    lines = [f"| template | {' | '.join(TALKS)} | arguments |", "| --- |" + " --- |" * (len(TALKS) + 1)]
    named = {f"`{name}`": lambda path=path: renderer_for(path.read_text("utf-8")) for name, path in stored().items()}
    own = {**TEMPLATES, **SPECIAL_CASES}
    named |= {name: lambda source=source: Renderer(tokenizer_for(source)) for name, source in own.items()}
    notes: list[str] = []

    def cell(text: str) -> str:
        if text == "yes" or text.startswith("with "):
            return text
        if text not in notes:
            notes.append(text)
        return f"no ({notes.index(text) + 1})"

    for name, make in named.items():
        renderer = make()
        cells = [cell(text) for text in row(renderer).values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {', '.join(renderer.template.arguments)} |")
    return "\n".join([*lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, start=1))])


if __name__ == "__main__":
    print(table())
