"""Whoever types an install hint gets what the hint says: an extra of this Cavesson, or a package that Cavesson declares."""

from __future__ import annotations

import ast
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cavesson import errors
from cavesson.audit.cli import human
from cavesson.cli import doctor
from cavesson.errors import MissingExtra, install_hint
from cavesson.web.needs import SERVER, require

ROOT = Path(__file__).parent.parent
SOURCES = [path for path in (ROOT / "src").rglob("*.py") if "codebases" not in path.parts]
TEXTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "Makefile",
    *(path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")),
    *(ROOT / ".github" / "workflows").glob("*"),
    *SOURCES,
]
EXTRAS = {
    name: {canonicalize_name(Requirement(line).name) for line in lines}
    for name, lines in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].items()
}
KNOWN = set.union(*EXTRAS.values()) | set(doctor.TOOLS)
COMMAND = re.compile(r"(?<!{)\b(?:pipx?3?|uv(?: pip)?|conda|poetry)[ ]+(?:install|add)\b([^`\"\n#;>]*)")


def hints() -> Iterator[tuple[str, str]]:
    """(file, what stands behind `pip install`) of every such text in pages, make targets, workflows and sources."""
    for path in TEXTS:
        if path.name != "errors.py":  # there the commands are put together; the tests below check them
            for rest in COMMAND.findall(path.read_text()):
                yield path.relative_to(ROOT).as_posix(), rest


def stranger(word: str) -> str:
    """What is wrong with a word behind `pip install`; "" for this folder, with extras that exist, and for known packages."""
    if word.startswith("-") or word in (".", "$(1)"):  # $(1): the Makefile's own `call install,.[…]`
        return ""
    if folder := re.fullmatch(r"\.\[([\w,]+)\]", word):
        return "" if set(folder[1].split(",")) <= set(EXTRAS) else "no such extra"
    return "" if canonicalize_name(re.split(r"[\[<>=!~]", word)[0]) in KNOWN else "whatever the index holds"


def test_no_hint_installs_a_strangers_package() -> None:
    found = list(hints())
    files = {file for file, _ in found}
    assert {"Makefile", "src/cavesson/cli/doctor.py"} < files and any(file.startswith("docs/") for file in files)
    wrong = {
        f"{file}: {word}: {stranger(word)}" for file, rest in found for word in shlex.split(rest) if stranger(word)
    }
    assert not wrong


def test_the_make_targets_install_extras_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"call install,(.*)\)$", makefile, flags=re.MULTILINE) == [".", ".[$(EXTRAS)]"]
    named = re.findall(r"EXTRAS := (\S+)", makefile)
    assert len(named) >= 3 and set(",".join(named).split(",")) <= set(EXTRAS)


@pytest.mark.parametrize("word", ["cavesson", "cavesson[api]", "'.[nothing]'", "cavesson-lab"])
def test_a_strangers_package_would_be_found(word: str) -> None:
    assert stranger(word.strip("'"))


def test_what_is_said_to_be_missing_comes_with_the_extra_that_is_named() -> None:
    """Every `MissingExtra("datasets", "hub")` of the sources, and every line of the doctor."""
    named = {
        tuple(argument.value for argument in call.args)
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") in ("MissingExtra", "install_hint")
        and all(isinstance(argument, ast.Constant) for argument in call.args)
    }
    packages = {"mlflow": "mlflow-skinny"}  # of modules that another package brings
    named |= {(packages.get(module, module.replace("_", "-")), extra) for module, (_, extra) in doctor.EXTRAS.items()}
    named |= {(package, "audit") for package in {**SERVER, **human.PAGE_NEEDS}.values()}
    assert len(named) > 10
    for *package, extra in named:
        assert {canonicalize_name(Requirement(one).name) for one in package} <= EXTRAS[extra], (package, extra)


@pytest.mark.parametrize("module", {**SERVER, **human.PAGE_NEEDS})
def test_the_audit_page_names_the_package_that_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {**SERVER, **human.PAGE_NEEDS}[module]
    assert package in {canonicalize_name(name) for name in metadata.packages_distributions()[module]}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else object())
    with pytest.raises(MissingExtra, match=f"needs the package '{package}' of the extra 'audit'"):
        require({**SERVER, **human.PAGE_NEEDS})


def installed(monkeypatch: pytest.MonkeyPatch, origin: str | None) -> None:
    """Let this Cavesson seem installed from elsewhere."""

    class Installed:
        requires = ["torch>=2.9", "httpx>=0.27; extra == 'api'", "anyio>=4; extra == 'api'", "x; extra == 'apis'"]

        def read_text(self, name: str) -> str | None:
            return origin

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activated environment with pip."""
    monkeypatch.setattr(errors, "find_spec", lambda module: object())
    monkeypatch.setattr("shutil.which", lambda program: str(Path(sys.executable).with_name(program)))


def test_a_hint_names_the_checkout(pip: None) -> None:
    assert install_hint("audit") == f"pip install -e '{ROOT}[audit]'", "the suite runs from an editable checkout"
    error = MissingExtra("httpx", "api")
    assert error.remedy == install_hint("api") and "'httpx' of the extra 'api'" in error.problem


def test_a_hint_of_other_installations(pip: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, wheel = tmp_path / "a b", tmp_path / "c.whl"
    folder.mkdir()
    wheel.touch()
    listed = "pip install 'httpx>=0.27' 'anyio>=4'"
    for origin, hint in {
        None: listed,
        '{"url": "file:///gone/c.whl", "archive_info": {}}': listed,
        f'{{"url": "{folder.as_uri()}", "dir_info": {{}}}}': f"pip install '{folder}[api]'",
        f'{{"url": "{wheel.as_uri()}", "archive_info": {{}}}}': f"pip install 'cavesson[api] @ {wheel.as_uri()}'",
        '{"url": "https://h/c.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}':
            "pip install 'cavesson[api] @ git+https://h/c.git@abc'",
    }.items():  # fmt: skip
        installed(monkeypatch, origin)
        assert install_hint("api") == hint


def test_a_hint_installs_into_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, None)
    monkeypatch.setattr("shutil.which", lambda program: f"/elsewhere/{program}")
    monkeypatch.setattr(errors, "find_spec", lambda module: object())
    assert install_hint("api").startswith(f"{shlex.quote(sys.executable)} -m pip install 'httpx")
    monkeypatch.setattr(errors, "find_spec", lambda module: None)
    assert install_hint("api").startswith(f"uv pip install --python {shlex.quote(sys.prefix)} 'httpx")
