"""Write docs/notes/compatibility.md: the chat templates and the architectures that work, each tried here.

python benchmarks/compatibility.py                          # tries all; a quarter of an hour
python benchmarks/compatibility.py templates.md archs.md    # from tables that `python tests/templates.py` and
                                                            # `python tests/architectures.py` have printed
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import transformers

ROOT = Path(__file__).parents[1]
BY_HAND = "## Releases ahead"
"""The page's last heading; what stands below is written by hand and kept."""


def printed(script: str, stored: list[str]) -> str:
    """The table that a script of the tests prints, or the stored one."""
    if stored:
        return Path(stored.pop(0)).read_text(encoding="utf-8")
    run = [sys.executable, str(ROOT / "tests" / script)]
    return subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT / "tests").stdout


def page(templates: str, architectures: str) -> Iterator[str]:
    rows = re.findall(r"^\| ([^|]+) \| (.*) \|$", architectures, flags=re.MULTILINE)[2:]
    by_outcome: dict[str, list[str]] = defaultdict(list)
    for name, outcome in rows:
        kind = "refused" if outcome.startswith("refused") else outcome
        by_outcome[kind].append(name)
    works = sum(len(names) for kind, names in by_outcome.items() if kind != "refused")
    yield "# Templates and architectures"
    yield ""
    yield (
        f"A tiny network of every architecture of transformers {transformers.__version__} that writes text was built, and its greedy answers, alone and "
        "in a batch of texts of other lengths, were compared token by token with `generate` and with the network read anew for every token. "
        f"{works} of {len(rows)} architectures work; the others are refused in a sentence."
    )
    yield ""
    yield "| outcome | architectures |"
    yield "| --- | --- |"
    for kind, names in sorted(by_outcome.items(), key=lambda item: -len(item[1])):
        yield f"| {kind} | {', '.join(names)} |"
    yield ""
    yield '"Texts of one length together": recurrent and hybrid models read no padding. "Reads the text anew": transformers gives no state that could be handed on; right, and slow.'
    yield ""
    yield "| refused | the sentence |"
    yield "| --- | --- |"
    for name, outcome in rows:
        if outcome.startswith("refused"):
            sentence = re.sub("'/[^']*'", "FOLDER", outcome.removeprefix("refused: "))
            yield f"| {name} | {sentence} |"
    yield ""
    yield "## Chat templates"
    yield ""
    yield (
        "Each template wrote conversations with one and with several answers, with a system message, and with reasoning. *Yes*: every answer is trained "
        "behind exactly the prompt that the model is sampled with, and reads as it was written. Names in code font are TRL's collection, the others shapes of this project's tests. "
        "Numbers point to the sentence that refuses."
    )
    yield ""
    yield templates.strip()


def by_hand(written: str) -> str:
    """The part of the page that a person wrote: what stands under its last heading."""
    return written[written.index(BY_HAND) :]


def main() -> None:
    stored = sys.argv[1:]
    place = ROOT / "docs" / "notes" / "compatibility.md"
    text = "\n".join(page(printed("templates.py", stored), printed("architectures.py", stored))) + "\n\n"
    place.write_text(text + by_hand(place.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
