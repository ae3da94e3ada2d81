"""JSON lines and printable text."""

import re
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from cavesson.errors import ConfigError
from cavesson.lines import json_line, one_line, parse_json, printable, read_json_lines, text_lines
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
    found = re.search(r"^const CONTROL = /(.*)/gu;$", asset("text.js"), re.MULTILINE)
    assert found is not None
    control = regex.compile(re.sub(r"\\u\{(\w+)\}", lambda one: chr(int(one[1], 16)), found[1]))
    beyond = [*range(0x1F600, 0x1F650), *range(0xE0000, 0xE0200)]
    characters = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x10000), *beyond)]
    assert [one for one in characters if control.match(one)] == [one for one in characters if printable(one) != one]
    for text in JOINED:
        assert control.search(text) is None


JOINED = ["👨\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "क\u094d\u200dष", "می\u200cخواهم"]


@pytest.mark.parametrize("text", [*JOINED, "37\xa0%", "é", "日本語", "\ta\nb", "<b>"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("a\r\nb\rc", "a\nb␍c"),
        ("\x9b31m\x7f", "⟨U+009B⟩31m␡"),
        ("\u202eevil", "⟨U+202E⟩evil"),
        ("a\u200db", "a⟨U+200D⟩b"),
        ("日\u200d\u200d\u200c日", "日⟨U+200D⟩⟨U+200D⟩⟨U+200C⟩日"),
        ("\ud800", "⟨U+D800⟩"),
        ("so\xadft \U000e0041\u3164", "so⟨U+00AD⟩ft ⟨U+E0041⟩⟨U+3164⟩"),
    ],
)
def test_what_hides_or_acts_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert one_line(f"{text}\n") == f"{one_line(text)}␊" and "\n" not in one_line(text)


def test_half_a_character_survives_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "values.jsonl"
    path.write_text(json_line({"text": "a\ud800b é"}), encoding="utf-8")
    assert [value for _, value in read_json_lines(path)] == [{"text": "a\ud800b é"}] and "é" in path.read_text()


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"b": [{"a": 1, "c": 0, "a": 1}]}'])
def test_a_name_that_stands_twice_is_refused_rather_than_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="'a' stands twice"):
        parse_json(text)
