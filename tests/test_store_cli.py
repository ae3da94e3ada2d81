"""`cavesson store`: what each command prints and when it fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from cavesson.cli.store import _wrapped, app
from cavesson.errors import ConfigError, StoreError
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from toys import Number, Sum

TOTAL = Sum(of=(Number(value=1), Number(value=2)), seed=4)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    with Lab(store) as lab:
        lab.make([TOTAL])
    return store


def call(store: Store, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [command, *arguments, "--store", str(store.root)])


def test_ls_show_and_path(store: Store) -> None:
    listed = call(store, "ls").stdout.splitlines()
    assert len(listed) == 3 and listed[-1].startswith(TOTAL.fingerprint[:12]) and listed[-1].endswith("sum of 2")
    assert len(call(store, "ls", "--kind", "toys:Number").stdout.splitlines()) == 2
    shown = call(store, "show", TOTAL.fingerprint[:8]).stdout
    for part in ("sum of 2 (toys:Sum)", "seed         4", Number(value=1).fingerprint[:12], '"kind": "toys:Number"'):
        assert part in shown
    assert call(store, "path", TOTAL.fingerprint[:8]).stdout == f"{store.path(TOTAL)}\n"


def test_a_list_is_as_wide_as_the_terminal_and_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"7436f593d83d  2026-11-29T18:39      10 s    121 kB  generated     {'answers of the teacher ' * 6}".rstrip()
    assert _wrapped(line) == line
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("cavesson.cli.store.sys.stdout", SimpleNamespace(isatty=lambda: True))
    first, *more = _wrapped(line).splitlines()
    assert more and all(text.startswith(14 * " ") for text in more) and max(map(len, (first, *more))) <= 80
    assert " ".join([first, *(text.strip() for text in more)]) == line


def test_verify_fails_on_damage(store: Store) -> None:
    assert "3 artifacts" in call(store, "verify").stdout
    (store.path(TOTAL) / "value.txt").write_text("9")
    result = call(store, "verify")
    assert isinstance(result.exception, StoreError) and "1 artifact of 3" in str(result.exception)
    assert result.stdout == f"{TOTAL.fingerprint[:12]}: value.txt has changed content\n"
    assert call(store, "verify", Number(value=1).fingerprint).exit_code == 0


def test_pin_gc_and_rm(store: Store) -> None:
    one, name = Number(value=1).fingerprint, TOTAL.fingerprint
    assert call(store, "pin", one[:8]).stdout == f"pinned {one}\n"
    assert sum("(pinned)" in line for line in call(store, "ls").stdout.splitlines()) == 1
    assert len(call(store, "gc", "--dry-run").stdout.splitlines()) == 2 and store.has(TOTAL)
    assert len(call(store, "gc").stdout.splitlines()) == 2 and not store.has(TOTAL)
    assert isinstance(call(store, "rm", one[:8]).exception, StoreError)
    assert call(store, "unpin", one[:8]).exit_code == 0
    assert call(store, "rm", one[:8]).stdout == f"removed {one}\n"
    assert isinstance(call(store, "show", name[:8]).exception, ConfigError)


def test_reports_are_listed_and_dropped(store: Store) -> None:
    store.keep("study-quick", [TOTAL])
    [line] = call(store, "reports").stdout.splitlines()
    assert line.startswith("study-quick  20") and line.endswith("  3 artifacts")
    assert call(store, "gc").stdout == ""
    assert call(store, "drop", "study-quick").stdout == "dropped study-quick\n"
    assert call(store, "reports").stdout == ""
    assert isinstance(call(store, "drop", "study-quick").exception, ConfigError)
    assert len(call(store, "gc").stdout.splitlines()) == 3


def test_the_cache_is_named_and_removed_on_request(store: Store) -> None:
    (store.cache / "generations").mkdir(parents=True)
    (store.cache / "generations" / "completions.sqlite").write_bytes(bytes(3000))
    store.pin(TOTAL)
    assert "and 3 kB of cache in" in call(store, "ls").stderr
    assert "3 kB of cache kept; to remove that too: cavesson store gc --cache" in call(store, "gc").stderr
    assert "0 artifacts would go, 3 kB" in call(store, "gc", "--cache", "--dry-run").stderr and store.cached() == 3000
    assert call(store, "gc", "--cache").stderr == "0 artifacts removed, 3 kB; 3 kept\n" and not store.cache.exists()


def test_every_command_shows_an_example() -> None:
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    assert sorted(commands) == ["drop", "gc", "ls", "path", "pin", "reports", "rm", "show", "unpin", "verify"]
    for command in commands:
        assert "cavesson store" in CliRunner().invoke(app, [command, "--help"]).stdout


def test_a_store_from_before_the_new_name_is_named_in_one_message(tmp_path, monkeypatch) -> None:
    from cavesson.lab.place import old_store

    monkeypatch.delenv("CAVESSON_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert old_store() is None
    (tmp_path / "bridle" / "artifacts").mkdir(parents=True)
    note = old_store()
    assert note is not None and note.endswith(f"mv {tmp_path / 'bridle'} {tmp_path / 'cavesson'}")
    monkeypatch.setenv("BRIDLE_HOME", str(tmp_path / "bridle"))
    note = old_store()
    assert note is not None and note.endswith(f"export CAVESSON_HOME={tmp_path / 'bridle'}")
    (tmp_path / "cavesson" / "artifacts").mkdir(parents=True)
    assert old_store() is None, "whoever has a store of today needs no advice"


@pytest.mark.parametrize("words", [["ls"], ["gc"], ["reports"], ["verify"]])
def test_a_store_that_is_not_there_is_said_so_and_not_made(words, tmp_path):
    done = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "none")])
    assert done.exit_code == 0 and f"there is no store at {tmp_path / 'none'}" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_kind_that_does_not_exist_is_refused_with_the_nearest_one(store: Store) -> None:
    refused = call(store, "ls", "--kind", "traned").exception
    assert isinstance(refused, ConfigError) and "Did you mean 'trained'?" in str(refused)
    assert call(store, "ls", "--kind", "trained").exit_code == 0
