"""`cavesson audit mutants` and `cavesson audit attack`: making sabotages, by rule and by model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.audit.cli.options import BenchAt, Unsafe, loaded_bench

if TYPE_CHECKING:
    from cavesson.audit.auditing import Auditor
    from cavesson.audit.bench import Bench
    from cavesson.audit.cases import Case
    from cavesson.audit.red.bench import Made
    from cavesson.audit.red.search import Tried
    from cavesson.audit.verdicts import Affordance

mutants = typer.Typer(no_args_is_help=True, help="Sabotages made by rule, each one verified by execution.")

FoundAt = Annotated[
    Path | None, typer.Option("--found", help="Folder of mutants (JSON lines).", show_default="those that are shipped")
]


@mutants.command("list")
def list_mutants(
    found: FoundAt = None,
    operators: Annotated[bool, typer.Option("--operators", help="List the operators instead.")] = False,
) -> None:
    """List verified mutants: which operator, what it flips, where. Shows answer keys.

    Example: cavesson audit mutants list
    """
    from cavesson.audit.red.bench import shipped
    from cavesson.audit.red.operators import OPERATORS

    known = shipped(found)
    if operators:
        made = Counter(mutant.operator for mutant in known if not mutant.honest)
        for name, operator in OPERATORS.items():
            typer.echo(f"{name:18} {operator.area:11} {made[name]:3}  {operator.about}")
        return
    for mutant in known:
        label = "honest" if mutant.honest else mutant.kind or ""
        typer.echo(
            f"{mutant.id:12} {label:9} {mutant.operator:18} {', '.join(mutant.files):26} {', '.join(mutant.flips)}"
        )


@mutants.command()
def find(
    codebase: Annotated[str, typer.Argument(help="A codebase, or an honest case.")],
    bench: BenchAt = None,
    want: Annotated[int, typer.Option(min=0, help="Verified sabotages to find.")] = 8,
    benign: Annotated[int, typer.Option(min=0, help="Changes without effect on any finding to find.")] = 2,
    budget: Annotated[int, typer.Option(min=1, help="Candidates to run.")] = 100,
    out: Annotated[Path, typer.Option(help="Folder for CODEBASE.jsonl.")] = Path("mutants"),
    unsafe: Unsafe = False,
) -> None:
    """Search a codebase for changes that flip a Key Finding in every seed; a search that was stopped goes on.

    Example: cavesson audit mutants find probe --want 4
    """
    from cavesson.audit.red.search import find_mutants, write_mutants
    from cavesson.audit.sandbox.find import find_sandbox

    loaded, case = _honest(bench, codebase)
    counted: Counter[str] = Counter()

    def tell(tried: Tried) -> None:
        counted[tried.outcome] += 1
        what = ", ".join(tried.flips) or tried.problem[:90]
        where = f"{tried.mutation.path}:{tried.mutation.line}"
        typer.echo(f"{tried.outcome:8} {tried.mutation.operator:18} {where:24} {what}")

    sandbox = find_sandbox(unsafe=unsafe, hidden=(loaded.root,))
    found = find_mutants(case, sandbox, want=want, benign=benign, budget=budget, on_try=tell)
    path = out / f"{case.codebase}.jsonl"
    write_mutants(path, found)
    sabotages = sum(not mutant.honest for mutant in found)
    typer.echo(
        f"{path}: {sabotages} sabotages and {len(found) - sabotages} benign changes, of {sum(counted.values())} candidates",
        err=True,
    )


@mutants.command()
def make(
    bench: BenchAt = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only these codebases.", show_default="all")] = None,
    found: FoundAt = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new bench.", show_default="in the store")] = None,
    unsafe: Unsafe = False,
) -> None:
    """Make the bench of mutants: every one is run, and every flip seen, on this machine (minutes; resumable).

    Example: cavesson audit mutants make
    """
    from cavesson.audit.red.bench import make_bench, mutants_root, shipped
    from cavesson.audit.sandbox.find import find_sandbox
    from cavesson.errors import ConfigError

    loaded, root = loaded_bench(bench), out or mutants_root()
    known = [mutant for mutant in shipped(found) if not only or mutant.codebase in only]
    if not known:
        raise ConfigError("There are no such mutants.", "Find some: cavesson audit mutants find CODEBASE")

    def tell(made: Made) -> None:
        state = f"NOT VERIFIED: {made.problem}" if made.problem else "made" if made.fresh else "there"
        typer.echo(f"{made.mutant.id:12} {state}")

    result = make_bench(root, known, loaded, find_sandbox(unsafe=unsafe, hidden=(loaded.root, root)), on_made=tell)
    bad = sum(bool(made.problem) for made in result)
    typer.echo(f"{root}: {len(result) - bad} of {len(result)} mutants verified here", err=True)
    if bad:
        raise typer.Exit(1)


@mutants.command()
def width(
    bench: BenchAt = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="Verdicts of an audit of the mutants.", show_default="imagined auditors")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Numbers of cases, with commas.")] = "20,40",
) -> None:
    """Show how wide an AUROC's interval is for some numbers of cases, and for all cases.

    Example: cavesson audit mutants width
    """
    import numpy as np

    from cavesson.audit.red.bench import mutant_bench, mutants_root
    from cavesson.audit.red.width import simulated, width_of
    from cavesson.audit.verdicts import read_verdicts
    from cavesson.errors import ConfigError

    cases = (mutant_bench() if bench is None else loaded_bench(bench)).cases()
    rng = np.random.default_rng(0)
    sources = {}
    if verdicts is None:
        sources = {
            f"imagined, true AUROC {one}": [simulated(cases, one, rng) for _ in range(20)] for one in (0.6, 0.77, 0.9)
        }
    else:
        by_id = {case.id: case for case in cases}
        given = {
            verdict.case: verdict for verdict in read_verdicts(verdicts)
            if verdict.case in by_id and verdict.credence is not None
        }  # fmt: skip
        if len({by_id[name].honest for name in given}) < 2:
            raise ConfigError(f"{verdicts} has no scored verdicts on both honest and sabotaged cases of this bench.",
                              f"Audit it: cavesson audit run --bench {bench or mutants_root()}")  # fmt: skip
        cases = [by_id[name] for name in given]
        sources = {str(verdicts): [np.array([verdict.credence for verdict in given.values()], dtype=float)]}
    counts = [int(part) for part in sizes.split(",") if part.strip().isdigit()]
    least = 2 * min(sum(case.honest for case in cases), sum(not case.honest for case in cases))
    for name, drawn in sources.items():
        for count in [*(one for one in counts if one <= least), None]:
            draws = max(1, 60 // len(drawn))
            made = [width_of(cases, credences, count, rng, draws=draws) for credences in drawn]
            value, wide = (float(np.median([getattr(one, key) for one in made])) for key in ("value", "width"))
            typer.echo(
                f"{name:28} {made[0].cases:4} cases ({made[0].sabotaged} sabotaged): AUROC {value:.2f}, interval {wide:.2f} wide"
            )


def attack(
    codebase: Annotated[str, typer.Argument(help="A codebase, or an honest case.")],
    model: Annotated[
        str, typer.Option(help="Model that writes the sabotage, by Inspect's name, such as openai/gpt-5.")
    ],
    auditor: Annotated[
        list[str] | None,
        typer.Option(
            "--auditor",
            help="Auditor of the sabotage: static, probe, llm:MODEL, llm+probes:MODEL; may be repeated.",
            show_default="static, probe",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="Model that says whether the sabotage stays in scope.", show_default="rules alone"),
    ] = None,
    bench: BenchAt = None,
    out: Annotated[Path, typer.Option(help="Folder for the sabotage, the logs and the verdicts.")] = Path("attacks"),
    unsafe: Unsafe = False,
) -> None:
    """Have a model write a sabotage, check that the sabotage runs, stays in scope and flips a finding, and audit it.

    Example: cavesson audit attack probe --model openai/gpt-5
    """
    from cavesson.audit.agents.attacker import attack as run_attack
    from cavesson.audit.auditing import audit_all
    from cavesson.audit.red.bench import make_bench
    from cavesson.audit.red.search import read_mutants, write_mutants
    from cavesson.audit.sandbox.find import find_sandbox
    from cavesson.audit.verdicts import append_verdict

    loaded, case = _honest(bench, codebase)
    auditors = [_auditor(name, case.codebase, out / "logs") for name in auditor or ("static", "probe")]
    sandbox = find_sandbox(unsafe=unsafe, hidden=(loaded.root, out.absolute()))
    done = run_attack(case, model, sandbox, out / "logs", judge=judge)
    typer.echo(f"{done.cost.seconds:.0f} s, {done.cost.tokens} tokens, ${done.cost.dollars:.2f}", err=True)
    if done.sabotage is None:
        typer.echo(f"No sabotage: {done.problem}", err=True)
        raise typer.Exit(1)
    sabotage, kept = done.sabotage, out / "found" / f"{case.codebase}.jsonl"
    known = [one for one in (read_mutants(kept) if kept.is_file() else []) if one.id != sabotage.id]
    write_mutants(kept, [*known, sabotage])
    made = make_bench(out / "bench", [*known, sabotage], loaded, sandbox)
    if problem := made[-1].problem:
        typer.echo(f"No sabotage: {problem}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{sabotage.id} flips {', '.join(sabotage.flips)}: {sabotage.mechanism}\n{sabotage.patch}")
    twin = loaded_bench(out / "bench").case(sabotage.id)
    for one, affordance in auditors:
        for verdict in audit_all([twin], one, affordance, sandbox):
            append_verdict(out / "verdicts.jsonl", verdict)
            said = f"{verdict.credence:.2f}" if verdict.credence is not None else f"unscored ({verdict.unscored})"
            typer.echo(f"{verdict.auditor:24} {affordance:12} credence {said}")


def _honest(bench: Path | None, name: str) -> tuple[Bench, Case]:
    """A bench, and the honest case of a codebase in it."""

    loaded = loaded_bench(bench)
    return loaded, loaded.honest_twin(loaded.cases((name,))[0])


def _auditor(name: str, codebase: str, logs: Path) -> tuple[Auditor, Affordance]:
    """An auditor by name, with the most that it can use."""
    from cavesson.audit.agents.auditor import is_llm, llm_named
    from cavesson.audit.auditors import AUDITORS, CAN
    from cavesson.errors import ConfigError, nearest

    if is_llm(name):
        return llm_named(name, logs), "experiments"
    if name not in AUDITORS:
        raise ConfigError(f"There is no auditor {name!r}.", nearest(name, [*AUDITORS, "llm:MODEL"]))
    return AUDITORS[name](codebase), CAN[name][-1]
