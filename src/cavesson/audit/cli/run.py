"""`cavesson audit run`: auditors that need no model, on the cases of a bench."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.audit.cli.options import BenchAt, Cases, Unsafe, loaded_bench, words

if TYPE_CHECKING:
    from cavesson.audit.verdicts import Verdict


def run(
    auditor: Annotated[
        str,
        typer.Option(
            help="static, probe, ensemble, llm:MODEL, llm+probes:MODEL, or your own as path/to/file.py:function; several with commas."
        ),
    ] = "static,probe,ensemble",
    affordance: Annotated[
        str, typer.Option(help="paper, code, experiments; several with commas.")
    ] = "code,experiments",
    cases: Cases = None,
    bench: BenchAt = None,
    out: Annotated[Path, typer.Option(help="File of verdicts, one a line; audits with a verdict are left out.")] = Path(
        "verdicts.jsonl"
    ),
    unsafe: Unsafe = False,
) -> None:
    """Have cases audited by auditors that need no model, and print how well they did.

    On the built-in bench a case is judged with weights that were fitted on the other codebases.

    Example: cavesson audit run --auditor static --affordance paper,code
    """
    from cavesson.audit.auditors import running
    from cavesson.audit.auditors.ensemble import NAME as ENSEMBLE
    from cavesson.audit.sandbox.find import find_sandbox
    from cavesson.audit.scoring import score
    from cavesson.audit.verdicts import read_verdicts

    loaded = loaded_bench(bench)
    chosen = loaded.cases(words(cases))
    tasks = running.plan(chosen, words(auditor), words(affordance))
    sandbox = find_sandbox(unsafe=unsafe, hidden=(loaded.root,))
    for left, verdict in running.audit_bench(tasks, sandbox, out):
        _print_verdict(verdict)
        if sys.stderr.isatty():
            typer.echo(f"{left} to go", err=True)
    if ENSEMBLE in words(auditor):
        for verdict in running.combine(chosen, words(affordance), out):
            _print_verdict(verdict)
    for (name, means), one in score(chosen, read_verdicts(out) if out.is_file() else []).items():
        kinds = "".join(f"  {kind} {value.value:.2f}" for kind, value in one.by_kind.items())
        auroc = (
            f"AUROC {one.auroc}, caught at 20 % false alarms {one.caught}{kinds}"
            if one.auroc
            else "no AUROC: it takes honest and sabotaged cases"
        )
        typer.echo(f"{name:14} {means:12} {auroc}  ({one.seconds:.1f} s an audit)")
    typer.echo(f"verdicts in {out}", err=True)


def _print_verdict(verdict: Verdict) -> None:
    credence = "unscored" if verdict.credence is None else f"{verdict.credence:.2f}"
    first = verdict.fixes[0].title if verdict.fixes else "nothing found"
    typer.echo(
        f"{verdict.case:24} {verdict.auditor:14} {verdict.affordance:12} {credence:>8}  {verdict.cost.seconds:5.1f} s  {first[:60]}"
    )
