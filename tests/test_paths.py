"""The four ways in (docs/paths.md) run as printed: every command in order, with small numbers in place of an afternoon's."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from cavesson.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"
SMALL = {
    "red": {"steps": 20, "batch_size": 16, "prompts": 64, "optimizers": '[{"name":"adamw","lr":3e-3}]'},
    "blue": {"steps": 2, "probes": "[2]", "prompts": 8, "lrs": "[1e-3]"},
    "reversal": {"steps": 1, "probes": "[1]", "prompts": 8},
    "evaluation": {"n": 8, "n_control": 4},
}
SMALL_RUN = " ".join(
    [
        "--workers 1 --seeds 1",
        *(f"--set {part}.{key}={value}" for part in SMALL for key, value in SMALL[part].items()),
    ]
)
SHORTER = {
    "organism make": "--steps 2 --prompts 16 --n 2 --workers 1",
    "organism card": "--n 2 --workers 1",
    "organism export": "--workers 1",
    "stress": "--dry-run",
    "evaluate": "--dry-run",
    "run": "--dry-run",
    "run --track": SMALL_RUN,
    "audit-model": "--n 1",
    "audit run": "--cases hop",
}
"""What is added to a command so that it takes seconds; "run --track": the run whose logs the next command wants."""
NOT_HERE = ("view",)
"""Serves until it is stopped: `test_view.py`."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL)


WAYS = dict(zip(("red", "blue", "auditor", "engineer"), blocks("paths.md", "bash"), strict=True))


def shortened(words: list[str]) -> list[str]:
    """The words of a command after `cavesson`, with what makes it quick."""
    names = [" ".join(words[:2]), words[0]]
    if words[0] == "run" and "--track" in words:
        names.insert(0, "run --track")
    extra = next((SHORTER[name] for name in names if name in SHORTER), "")
    kept = words if "--dry-run" not in words else [word for word in words if word != "--dry-run"] + ["--dry-run"]
    return kept + ([] if "--dry-run" in kept else extra.split())


@pytest.mark.parametrize("way", WAYS)
def test_a_way_in_runs_as_printed(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    monkeypatch.setattr("cavesson.training.preflight._free_memory", lambda: (64 << 30, "this machine", 4))
    (tmp_path / "curt.py").write_text(blocks("own-intervention.md", "python")[0])
    lines = [shlex.split(line, comments=True) for line in WAYS[way].splitlines()]
    assert lines and all(words[0] == "cavesson" for words in lines)
    for words in lines:
        if words[1] in NOT_HERE:
            continue
        monkeypatch.setattr(sys, "argv", ["cavesson", *shortened(words[1:])])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert left.value.code in (0, None), f"{shlex.join(sys.argv)}\n{said.out}\n{said.err}"
        assert said.out.strip() or said.err.strip()
    made = {
        "red": "locked-organism/README.md",
        "blue": "curt.py",
        "auditor": "audit-report/report.html",
        "engineer": "logs",
    }[way]
    assert (tmp_path / made).exists()
