"""`bridle store`: what each command prints and when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bridle.cli.store import app
from bridle.errors import ConfigError, StoreError
from bridle.lab.lab import Lab
from bridle.lab.store import Store
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


def test_every_command_shows_an_example() -> None:
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    assert sorted(commands) == ["drop", "gc", "ls", "path", "pin", "reports", "rm", "show", "unpin", "verify"]
    for command in commands:
        assert "bridle store" in CliRunner().invoke(app, [command, "--help"]).stdout
