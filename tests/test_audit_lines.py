"""A line of code has one number: to Python, to auditors and people, to the answer key, to patches and to the report."""

from __future__ import annotations

import ast
import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from audit_toys import toy_bench
from cavesson.audit.auditing import open_case
from cavesson.audit.auditors.sources import Workspace
from cavesson.audit.bench import load_bench
from cavesson.audit.execution import RunCache
from cavesson.audit.human import content
from cavesson.audit.red.source import ConfigFile, read_codebase
from cavesson.audit.report.excerpts import Excerpts
from cavesson.audit.sandbox.unsafe import UnsafeSandbox
from cavesson.audit.verify import verify
from cavesson.audit.workspace import read_text
from cavesson.errors import ConfigError
from cavesson.lines import text_lines

ODD = {
    "form feed": "\x0c",
    "vertical tab": "\x0b",
    "U+0085": "\x85",
    "U+2028": "\u2028",
    "U+2029": "\u2029",
    "U+001C": "\x1c",
}
BEFORE = "def numbers(seed):\n    gain = 2  # a{0}b\n    note = 'c{0}d'\n"
LAST = "    return [gain + seed, 3], [1, 1]\n"


@pytest.fixture(params=[*ODD, "CRLF", "BOM"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bench whose code holds a character that some count as a line end."""
    root = toy_bench(tmp_path / "bench")
    text = BEFORE.format(ODD.get(request.param, "")) + LAST
    text = text.replace("\n", "\r\n") if request.param == "CRLF" else text
    mark = b"\xef\xbb\xbf" if request.param == "BOM" else b""
    (root / "codebases/hop_b/data.py").write_bytes(mark + text.encode())
    return root


def test_everybody_means_the_same_line(bench: Path, tmp_path: Path) -> None:
    case = load_bench(bench).case("hop_b")
    path = case.tree()["data.py"]
    here = 4
    assert text_lines(read_text(path))[here - 1] == LAST, "the file as everything here reads it"
    assert ast.parse(path.read_bytes()).body[-1].body[-1].lineno == here, "Python"  # type: ignore[attr-defined]
    with open_case(case, UnsafeSandbox()) as shown:
        [module] = [one for one in Workspace(shown.folder, shown.run).modules if one.name == "data.py"]
        assert module.place(module.tree.body[0].body[-1]) == f"data.py:{here}", "the auditor by rule"  # type: ignore[attr-defined]
        [file] = [one for one in read_codebase(shown.folder) if one.path == "data.py"]
        assert [one.lineno for one in file.walk(ast.Return)] == [here], "the operators"  # type: ignore[attr-defined]
        assert f"{here:5}  {LAST}" in _tool(shown.folder, "read_file", path="data.py"), "the reading tool"
        assert f"data.py:{here}: " in _tool(shown.folder, "search", pattern="return"), "the search"
    rows = content.code_html("data.py", content.read_text(path) or "").split('<div class="line"')
    assert [number for number, row in enumerate(rows) if "return" in row] == [here], "the page"
    assert f"data.py:{here}<" in content.search_html({"data.py": path}, "return"), "the page's search"
    [block] = Excerpts(case.tree(), [f"data.py:{here}"], (), name="e").files["data.py"]
    assert [(line.number, line.text) for line in block if line.cited] == [(here, LAST.rstrip("\n"))], "the report"
    assert not verify(
        [replace(case, files=(f"data.py:{here}",))], UnsafeSandbox(), seeds=(0,), cache=RunCache(tmp_path)
    ).misses
    with pytest.raises(ConfigError, match=r"names 'data.py:5'"):
        verify([replace(case, files=(f"data.py:{here + 1}",))], UnsafeSandbox(), seeds=(0,))


def _tool(folder: Path, name: str, **arguments: str) -> str:
    pytest.importorskip("inspect_ai")
    from cavesson.audit.agents.tools import reading_tools

    reading = dict(zip(("list_files", "read_file", "search"), reading_tools(folder), strict=True))
    return str(asyncio.run(reading[name](**arguments)))  # type: ignore[arg-type]


def test_code_with_a_line_end_of_python_alone_is_refused(tmp_path: Path) -> None:
    root = toy_bench(tmp_path / "bench")
    (root / "codebases/hop_b/data.py").write_bytes(b"def numbers(seed):\n    x = 1\r    return [2, 3], [1, 1]\n")
    with pytest.raises(ConfigError, match=r"data\.py has a carriage return inside line 2"):
        load_bench(root).case("hop_b").materialise(tmp_path / "w")
    (root / "codebases/hop_b/data.py").write_bytes(b"def numbers(seed):\r\n    return [2, 3], [1, 1]\r\n")
    (root / "codebases/hop_b/table.csv").write_bytes(b"a\rb\n")
    assert load_bench(root).case("hop_b").materialise(tmp_path / "w")


@pytest.mark.parametrize("odd", ["\x85", "\u2028", "\u2029"])
def test_a_number_of_a_configuration_is_edited_where_it_stands(tmp_path: Path, odd: str) -> None:
    text = f"note: 'a{odd}b'\nrate: 0.5\n"
    (tmp_path / "config.yaml").write_text(text)
    [setting] = Workspace(tmp_path).settings
    assert setting.place == "config.yaml:2"
    assert Workspace(tmp_path).set({setting: 0.25}) == {"config.yaml": text.replace("0.5", "0.25")}
    assert [number.line for number in ConfigFile("config.yaml", text).numbers()] == [2]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "[" * 5000, "x: " + "1" * 5000 + "\n", "x: 0x10\n", "? [a]\n: 1\n"])
def test_a_hostile_configuration_has_no_settings_and_ends(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert [one for one in Workspace(tmp_path).settings if one.value == 2] == []
    assert [one for file in read_codebase(tmp_path) for one in file.numbers() if one.value == 2] == []
