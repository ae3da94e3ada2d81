"""Evaluations by name, as a user gives them on the command line or in a study file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cavesson.data.recipes import Jsonl
from cavesson.evals.items import Eval, eval_named


def benchmark_named(name: str, folder: str | Path | None = None, **settings: Any) -> Eval:
    """An evaluation by name: one of the tiny world's, a standard set, or a JSON-lines file of a user's own questions.

    Args:
        folder: where standard sets lie on this machine; None: they come from the hub.
        settings: `n`, `seed` and further fields of `Eval`.

    Raises:
        ConfigError: there is no such evaluation or file, the set's data are not there, or a setting does not fit.
        MissingExtra: a package that the set needs is not installed.
    """
    from cavesson.evals.standard.sets import STANDARD

    if name in STANDARD:
        return eval_named(name, data=STANDARD[name].source(folder), **settings)
    if name.endswith(".jsonl"):
        title = re.sub(r"[^\w.-]", "_", Path(name).stem)
        return eval_named("questions", data=Jsonl(path=Path(name).expanduser()), title=title, **settings)
    return eval_named(name, **settings)
