"""JSON lines and printable text."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavesson.errors import ConfigError
from cavesson.lines import json_line, printable, read_json_lines, text_lines
from cavesson.report.page import asset

LINE_ENDS_TO_SPLITLINES = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"


@given(
    st.lists(
        st.text(alphabet=st.one_of(st.sampled_from("\r\n" + LINE_ENDS_TO_SPLITLINES), st.characters(codec="utf-8"))),
        max_size=5,
    )
)
def test_a_value_is_one_line_whatever_its_text_holds(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "values.jsonl"
    path.write_text("".join(json_line({"text": text}) for text in texts), encoding="utf-8")
    assert path.read_bytes().count(b"\n") == len(texts)
    assert [value["text"] for _, value in read_json_lines(path)] == texts


def test_a_place_counts_blank_lines_and_an_error_names_it(tmp_path: Path) -> None:
    path = tmp_path / "values.jsonl"
    path.write_text("1\n\n  \n[2]\n")
    assert list(read_json_lines(path)) == [(f"{path}, line 1", 1), (f"{path}, line 4", [2])]
    path.write_text("1\n\n{\n")
    with pytest.raises(ConfigError, match=r"values.jsonl, line 3 is not JSON"):
        list(read_json_lines(path))


@given(st.text(alphabet=st.sampled_from("ab\r\n" + LINE_ENDS_TO_SPLITLINES)))
def test_only_a_line_end_ends_a_line_of_text(text: str) -> None:
    lines = text_lines(text)
    assert "".join(lines) == text
    assert len(lines) == text.count("\n") + (not text.endswith("\n") and text != "")


def test_the_script_of_the_page_and_python_show_the_same_characters() -> None:
    found = re.search(r"^const CONTROL = /(\[.*\])/g;$", asset("text.js"), re.MULTILINE)
    assert found is not None
    control = re.compile(found[1])
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    assert [one for one in characters if control.match(one)] == [one for one in characters if printable(one) != one]
