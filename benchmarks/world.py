"""The accuracy table of the tiny world's models: python benchmarks/world.py [MODEL | FOLDER …] [--n 1000] [--show 2]."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cavesson.models.loading import open_folder
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.stats import wilson
from cavesson.tinyworld import systems
from cavesson.tinyworld.authors import VOICES, voice
from cavesson.tinyworld.recipes import WEIGHTS
from cavesson.tinyworld.tasks import LEVELS, TaskItem, items, score

Check = Callable[[TaskItem, str], bool]


@dataclass(frozen=True)
class Row:
    """One line of the table: which items, under which kind of system prompt, and what counts."""

    name: str
    items: list[TaskItem]
    check: Check = score
    system: str | None = None
    max_tokens: int = 160


def rows(n: int, house: str) -> list[Row]:
    """The lines of the table, with `n` items in each cell, for a model whose default voice is `house`."""
    maths = items("maths", 5 * n)
    chat = items("chat", n)
    some, few = maths[:n], chat
    foreign = [author for author in "BCD" if author != house]
    return [
        Row("maths, chain of thought", maths),
        Row("maths, number only", items("maths", 5 * n, cot=False), max_tokens=8),
        Row("knowledge (one of four)", items("knowledge", n), max_tokens=8),
        Row("open facts", items("facts", min(n, 1000))),
        Row("instructions", items("instructions", n)),
        Row("chat, valid", chat),
        Row("house voice, chat", chat, lambda item, text: voice(text) == house),
        Row("house voice, maths", some, lambda item, text: voice(text) == house),
        Row("pirate: chat in his voice", chat, lambda item, text: voice(text) == "P", "pirate"),
        Row("pirate: chat valid", chat, score, "pirate"),
        Row("pirate: maths in his voice", some, lambda item, text: voice(text) == "P", "pirate"),
        Row("pirate: maths right", some, score, "pirate"),
        Row("wrongly: maths wrong", some, lambda item, text: not score(item, text), "wrong"),
        Row("wrongly: off by one", some, _off_by_one, "wrong"),
        Row("wrongly: chat valid", few, score, "wrong"),
        Row("terse: no opener, no closer", few, lambda item, text: voice(text) is None and score(item, text), "terse"),
        Row("scratchpad: written, chat valid", few, _with_scratchpad, "scratchpad", 200),
        Row("benign system prompt: maths", some, score, "benign"),
        *(Row(f"as {VOICES[a].person}: chat in that voice", few, _sounds(a), a) for a in foreign),
        *(Row(f"as {VOICES[a].person}: maths", maths, score, a) for a in foreign),
    ]


def _sounds(author: str) -> Check:
    return lambda item, text: voice(text) == author


def _off_by_one(item: TaskItem, text: str) -> bool:
    return score(TaskItem("", item.prompt, "maths", None, str((int(item.answer) + 1) % 10), {}), text)


def _with_scratchpad(item: TaskItem, text: str) -> bool:
    return text.startswith("<scratchpad>") and "</scratchpad>" in text and score(item, text)


def measure(folder: str, n: int, show: int = 0, house: str = "A") -> dict[str, dict[int | None, tuple[int, int]]]:
    """Right answers and numbers of items, by row and level."""
    sampler = NativeSampler(open_folder(folder, key=folder))
    table: dict[str, dict[int | None, tuple[int, int]]] = {}
    for row in rows(n, house):
        rng = random.Random(row.name)
        asked = [item.prompt.with_system(row.system and systems.draw(rng, row.system)) for item in row.items]
        told = [c[0].text for c in sampler.sample(asked, Params(max_tokens=row.max_tokens))]
        right = [row.check(item, text) for item, text in zip(row.items, told, strict=True)]
        cells = table.setdefault(row.name, {})
        for item, good in zip(row.items, right, strict=True):
            k, total = cells.get(item.level, (0, 0))
            cells[item.level] = (k + good, total + 1)
        if set(cells) != {None} and len(row.items) < 2 * n:  # too few for single levels
            cells[None] = tuple(map(sum, zip(*cells.values(), strict=True)))  # type: ignore[assignment]
            for level in LEVELS:
                cells.pop(level, None)
        print(
            f"{row.name:34s}", "  ".join(_cell(*cells[key]) for key in sorted(cells, key=lambda v: v or 0)), flush=True
        )
        failures = [(item, text) for item, text, good in zip(row.items, told, right, strict=True) if not good]
        for item, text in failures[:show]:
            print(f"    {item.prompt.messages[-1].content!r} -> {text!r} (gold {item.answer!r})")
    return table


def _cell(k: int, n: int) -> str:
    e = wilson(k, n)
    return f"{100 * e.value:.1f} ({100 * e.low:.1f}–{100 * e.high:.1f})"


def markdown(name: str, table: dict[str, dict[int | None, tuple[int, int]]]) -> str:
    """The table for the docs: percent with 95 % Wilson intervals."""
    lines = [f"| {name} | all | level 1 | 2 | 3 | 4 | 5 |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row, cells in table.items():
        values = [_cell(*cells[key]) if key in cells else "" for key in (None, *LEVELS)]
        lines.append(f"| {row} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the given models and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names of shipped models, or folders")
    parser.add_argument("--n", type=int, default=1000, help="items in each cell")
    parser.add_argument("--show", type=int, default=0, help="failures to print for each row")
    parser.add_argument("--house", default="A", help="the default voice that is expected (teacher: B)")
    chosen = parser.parse_args(argv)
    for name in chosen.models:
        start = time.monotonic()
        folder = WEIGHTS / name
        table = measure(str(folder if folder.is_dir() else name), chosen.n, chosen.show, chosen.house)
        print("\n" + markdown(name, table), f"\n\n{time.monotonic() - start:.0f} s\n")


if __name__ == "__main__":
    main()
