"""One HTML file: template, style, scripts and data inlined, nothing fetched.

Small scripts of this project draw the charts (`assets/`): a charting library would be several times as large as a
whole report, and the charts of a library would follow neither the reader's dark mode nor the printed page.
A content security policy with the hash of the page's script keeps anything else from running, should escaping ever
fail.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cavesson.errors import StoreError
from cavesson.estimate import Estimate
from cavesson.figures import duration
from cavesson.lab import disk
from cavesson.lines import printable
from cavesson.report.glossary import glossed
from cavesson.report.text import unbroken, web_link

PACKAGE = "cavesson.report"
"""The package whose folder `assets` holds the files that all pages share."""


def render_page(template: str, scripts: Sequence[str], style: str, *, package: str = PACKAGE, **values: Any) -> str:
    """A template with a style and scripts inlined; nothing but these scripts can run in the page.

    Args:
        template: name of a file in the `assets` of `package`.
        scripts: texts of scripts, in the order in which they run; each adds to one shared scope.
        style: text of a style sheet.
        values: what the template reads.
    """
    script = "(() => {\n'use strict';\n" + "\n".join(scripts) + "\n})();"
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = templates(package).get_template(template)
    return page.render(**values, style=Markup(style), script=Markup(script), script_hash=script_hash)


def write_page(page: str, folder: Path) -> Path:
    """Write `report.html` into a folder (made if missing), whole or not at all.

    Returns:
        The report's path.

    Raises:
        StoreError: the folder cannot be written.
    """
    path = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        disk.write_whole(path, page)
    except OSError as error:
        unwritable = StoreError(f"The report {path} cannot be written: {error.strerror or error}.",
                                "Name another folder with --out.")  # fmt: skip
        raise disk.refusal(error, folder) or unwritable from error
    return path


def asset(name: str, package: str = PACKAGE) -> str:
    """The text of a style sheet or a script in the `assets` of a package."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")


def templates(package: str = PACKAGE) -> Environment:
    """The templates in the `assets` of a package, and the shared ones; all escape text and show control characters."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each, "assets") for each in dict.fromkeys((package, PACKAGE))]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters.update(
        duration=duration,
        glossed=glossed,
        unbroken=unbroken,
        web_link=web_link,
        dictvalues=lambda d: list(d.values()),
    )
    environment.tests["rate"] = lambda value: isinstance(value, Estimate)
    return environment


def _finalize(value: Any) -> Any:
    """Every piece of text that a template puts out is printable; this project's own markup passes as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
