"""What an agent may do with a workspace: list, read and search files; run commands, in the sandbox only.

A tool never raises an error for what a model asks: the tool answers in words, so that the model can try again. Text
from hostile files and programs loses its escape sequences and is cut to a limit.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cavesson.audit import workspace
from cavesson.audit.execution import RUN_LIMITS
from cavesson.audit.sandbox.protocol import Limits, Sandbox
from cavesson.audit.workspace import files_of, inside
from cavesson.errors import CavessonError
from cavesson.lines import printable, text_lines

if TYPE_CHECKING:
    from inspect_ai.tool import Tool

MAX_CHARACTERS = 20_000
"""Characters in one answer of a tool."""

SNIPPET_LIMITS = Limits(cpu_s=10, wall_s=30, memory_mb=1024, processes=16, output_bytes=50_000, disk_mb=64)


def reading_tools(folder: Path) -> list[Tool]:
    """List, read and search the files of a folder."""
    from inspect_ai.tool import tool

    @tool
    def list_files() -> Tool:
        async def execute() -> str:
            """List the files of the workspace with their sizes in bytes."""
            return cut("\n".join(f"{path.stat().st_size:8}  {name}" for name, path in files_of(folder).items()))

        return execute

    @tool
    def read_file() -> Tool:
        async def execute(path: str, first: int = 1, last: int = 400) -> str:
            """Read lines of a file of the workspace, numbered.

            Args:
                path: relative to the workspace
                first: first line, counted from 1
                last: last line
            """
            text = read_text(folder, path)
            if isinstance(text, Problem):
                return text.words
            lines = text_lines(text)
            chosen = enumerate(lines[max(first, 1) - 1 : last], start=max(first, 1))
            head = f"{path}: {len(lines)} lines\n"
            return cut(head + "".join(f"{number:5}  {line}" for number, line in chosen))

        return execute

    @tool
    def search() -> Tool:
        async def execute(pattern: str) -> str:
            """Search all text files of the workspace, as grep does.

            Args:
                pattern: a regular expression of Python's
            """
            try:
                wanted = re.compile(pattern[:200])
            except re.error as error:
                return f"That is no regular expression: {error}"
            hits = [
                f"{name}:{number}: {line[:200]}"
                for name in files_of(folder)
                if isinstance(text := read_text(folder, name), str)
                for number, line in enumerate(text.split("\n"), start=1)
                if wanted.search(line[:1000])
            ]
            return cut("\n".join(hits[:200]) or "Nothing matches.")

        return execute

    return [list_files(), read_file(), search()]


def snippet_tool(folder: Path, sandbox: Sandbox) -> Tool:
    """Run Python on the stored results: the code of the paper is not there, so that no experiment can be run anew."""
    from inspect_ai.tool import tool

    @tool
    def python() -> Tool:
        async def execute(code: str) -> str:
            """Run a snippet of Python (with numpy) in a folder that holds the workspace's stored results, not its code.

            Args:
                code: what it prints is what you see
            """
            with tempfile.TemporaryDirectory(prefix="cavesson-snippet-") as place:
                work = Path(place) / "workspace"
                work.mkdir()
                for name, path in files_of(folder).items():
                    if not name.endswith(".py"):
                        (work / name).parent.mkdir(parents=True, exist_ok=True)
                        (work / name).write_bytes(path.read_bytes())
                return await _in_sandbox(["python", "-c", code], work, sandbox, SNIPPET_LIMITS)

        return execute

    return python()


def shell_tool(folder: Path, sandbox: Sandbox) -> Tool:
    """A shell in the sandbox; changes of the workspace stay for the next command."""
    from inspect_ai.tool import tool

    @tool
    def shell() -> Tool:
        async def execute(command: str) -> str:
            """Run a command with bash in the workspace. There is no network; changes of files stay for the next
            command.

            Args:
                command: for bash -c
            """
            return await _in_sandbox(["bash", "-c", command], folder, sandbox, RUN_LIMITS, writable=(".",))

        return execute

    return shell()


async def _in_sandbox(
    command: list[str], folder: Path, sandbox: Sandbox, limits: Limits, writable: tuple[str, ...] = ()
) -> str:
    from anyio.to_thread import run_sync

    try:
        ran = await run_sync(lambda: sandbox.run(command, folder, limits, writable=writable))
    except CavessonError as error:
        return f"The sandbox failed: {error.problem}"
    end = "" if ran.ok else f"\n[{ran.why() if ran.killed_for else f'exit status {ran.returncode}'}]"
    return cut("\n".join(part for part in (ran.stdout, ran.stderr) if part.strip()) + end) or "[no output]"


class Problem:
    """Why a file cannot be read, in words for a model."""

    def __init__(self, words: str) -> None:
        self.words = words


def read_text(folder: Path, name: str) -> str | Problem:
    """A file of the workspace, or why there is none."""
    try:
        path = folder / inside(name)
    except CavessonError as error:
        return Problem(error.problem)
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return Problem(f"There is no file {name!r}; list_files shows what there is.")
    return printable(workspace.read_text(path)[:2_000_000])


def cut(text: str) -> str:
    """The text, its middle left out if it is too long for an answer."""
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
