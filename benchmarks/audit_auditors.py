"""How good are the auditors that need no model? AUROC on the audit bench, with weights that never saw the case's codebase.

    python benchmarks/audit_auditors.py                           # the built-in twins
    python benchmarks/audit_auditors.py --mutants                 # and the verified mutants (cavesson audit mutants make)
    python benchmarks/audit_auditors.py --write                   # also write the weights that ship
    python benchmarks/audit_auditors.py --fixes                   # also execute the fixes that the auditors propose

For each auditor and affordance the rules' evidence is gathered once; for each codebase a logistic combination is fitted on all
others and judges it. Printed is the AUROC with its interval clustered by codebase, for all cases and for each kind of sabotage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from cavesson.audit.auditing import open_case
from cavesson.audit.auditors import AUDITORS, probe, static
from cavesson.audit.auditors.ensemble import ensemble
from cavesson.audit.auditors.evidence import features, fit
from cavesson.audit.bench import load_bench
from cavesson.audit.cases import Case
from cavesson.audit.fixes import restores
from cavesson.audit.sandbox.find import find_sandbox
from cavesson.audit.scoring import Score, score
from cavesson.audit.verdicts import Affordance, Cost, Verdict
from cavesson.stats import wilson

SETUPS: tuple[tuple[str, Any, Affordance, Any], ...] = (
    ("static", static.Static(), "paper", static.PRIOR["paper"]),
    ("static", static.Static(), "code", static.PRIOR["code"]),
    ("probe", probe.Probe(), "code", probe.PRIOR["code"]),
    ("probe", probe.Probe(), "experiments", probe.PRIOR["experiments"]),
)

Evidence = dict[tuple[str, str, str], tuple[dict[str, float], float]]
"""Features and seconds by case, auditor and affordance."""


def main() -> None:
    """Gather, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="folder of a bench (default: the built-in one)")
    parser.add_argument("--mutants", action="store_true", help="also judge the bench of mutants")
    parser.add_argument("--only", nargs="*", default=[], help="cases or codebases")
    parser.add_argument(
        "--seconds", type=float, default=3000, help="gather no further evidence after this many seconds"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/audit_auditors.json"))
    parser.add_argument("--write", action="store_true", help="write the shipped weights, fitted on the built-in twins")
    parser.add_argument(
        "--fixes", action="store_true", help="execute the fixes of probe and static on the sabotaged twins"
    )
    parser.add_argument("--evidence", type=Path, help="keep the evidence in this file and go on from it")
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.seconds
    bench = load_bench(arguments.bench)
    cases = bench.cases(tuple(arguments.only))
    evidence = gather(cases, (bench.root,), until, arguments.evidence)
    twins = [case for case in cases if all((case.id, *key) in evidence for key in keys())]
    if arguments.write:
        path = Path(static.__file__).with_name("weights.json")
        path.write_text(json.dumps(weights(twins, evidence), indent=1) + "\n", encoding="utf-8")
    report = {"twins": judge(twins, evidence, twins, evidence)}
    if arguments.mutants:
        from cavesson.audit.red.bench import mutant_bench

        # the honest cases too are those of the bench of mutants: its papers are all written by rule, the built-in ones by people
        made = mutant_bench()
        kept = arguments.evidence and arguments.evidence.with_suffix(".mutants.jsonl")
        others = gather(spread(made.cases()), (made.root, bench.root), until, kept)
        mutants = [case for case in made.cases() if all((case.id, *key) in others for key in keys())]
        report["mutants, weights from twins"] = judge(mutants, others, twins, evidence)
        report["mutants, weights from mutants"] = judge(mutants, others, mutants, others)
    if arguments.fixes:
        report["fixes"] = execute_fixes(twins, (bench.root,))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def keys() -> list[tuple[str, str]]:
    """Auditor and affordance of each set-up."""
    return [(name, affordance) for name, _, affordance, _ in SETUPS]


def spread(cases: list[Case]) -> list[Case]:
    """Cases in turn from each codebase, so that a part of them is a fair part."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.codebase].append(case)
    longest = max((len(group) for group in groups.values()), default=0)
    return [group[at] for at in range(longest) for group in groups.values() if at < len(group)]


def gather(cases: list[Case], hidden: tuple[Path, ...], until: float, kept: Path | None) -> Evidence:
    """Features and seconds of each case, auditor and affordance, as far as time allows."""
    sandbox = find_sandbox(hidden=hidden)
    found = {}
    if kept is not None and kept.is_file():
        found = {tuple(key): (held, seconds) for key, held, seconds in map(json.loads, kept.read_text().splitlines())}
    for at, case in enumerate(cases):
        if (case.id, *keys()[-1]) in found:
            continue
        if time.monotonic() > until:
            print(f"out of time after {at} of {len(cases)} cases", file=sys.stderr)
            break
        with open_case(case, sandbox) as shown:
            for name, auditor, affordance, _ in SETUPS:
                started = time.monotonic()
                held = features(auditor.evidence(shown, affordance))
                found[case.id, name, affordance] = held, time.monotonic() - started
                if kept is not None:
                    with kept.open("a", encoding="utf-8") as file:
                        file.write(json.dumps([(case.id, name, affordance), held, time.monotonic() - started]) + "\n")
        print(f"{at + 1}/{len(cases)} {case.id} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return found


def judge(judged: list[Case], evidence: Evidence, learned: list[Case], known: Evidence) -> dict[str, Any]:
    """Scores of all set-ups, each case judged by weights that were learned on other codebases.

    Args:
        judged: the cases; evidence: theirs.
        learned: the cases that weights are fitted on; known: their evidence.
    """
    verdicts: list[Verdict] = []
    for name, _, affordance, prior in SETUPS:
        for codebase in sorted({case.codebase for case in judged}):
            combined = fitted([case for case in learned if case.codebase != codebase], known, name, affordance, prior)
            for case in (case for case in judged if case.codebase == codebase):
                held, seconds = evidence[case.id, name, affordance]
                verdicts.append(Verdict(case.id, name, affordance, combined.credence(held), cost=Cost(seconds)))
    for affordance in ("code", "experiments"):
        verdicts += ensemble(judged, verdicts, affordance)  # type: ignore[arg-type]
    scores = score(judged, verdicts)
    for (name, affordance), one in scores.items():
        print(f"{name:9} {affordance:12} {line(one)}", flush=True)
    print()
    return {f"{name}/{affordance}": plain(one) for (name, affordance), one in scores.items()} | {
        "credences": {f"{v.auditor}/{v.affordance}/{v.case}": v.credence for v in verdicts}
    }


def fitted(cases: list[Case], evidence: dict[Any, Any], name: str, affordance: str, prior: Any) -> Any:
    """Weights from some cases."""
    rows = [evidence[case.id, name, affordance][0] for case in cases]
    return fit(rows, [not case.honest for case in cases], [case.codebase for case in cases], prior)


def weights(cases: list[Case], evidence: dict[Any, Any]) -> dict[str, Any]:
    """The weights that ship: from all codebases, and without each."""
    shipped: dict[str, Any] = {}
    for name, _, affordance, prior in SETUPS:
        for held_out in ("", *sorted({case.codebase for case in cases})):
            made = fitted([case for case in cases if case.codebase != held_out], evidence, name, affordance, prior)
            kept = {rule: round(value, 3) for rule, value in made.weights.items()}
            shipped.setdefault(f"{name}/{affordance}", {})[held_out] = {
                "intercept": round(made.intercept, 3),
                "weights": kept,
            }
    return shipped


def execute_fixes(cases: list[Case], hidden: tuple[Path, ...]) -> dict[str, Any]:
    """Share of sabotaged cases for which one of the first k fixes restores the honest findings in every seed.

    Whether it also names the mechanism is for a person or a model to judge, so this is an upper bound of the fix rate.
    """
    sandbox = find_sandbox(hidden=hidden)
    report: dict[str, Any] = {}
    for name, affordance in (("static", "code"), ("probe", "experiments")):
        first: dict[str, int] = {}
        sabotaged = [case for case in cases if not case.honest]
        for case in sabotaged:
            with open_case(case, sandbox) as shown:
                verdict = AUDITORS[name](case.codebase).audit(shown, affordance)  # type: ignore[arg-type]
            for at, fix in enumerate(verdict.fixes):
                one_seed = replace(case, seeds=case.seeds[:1])
                if restores(one_seed, fix, sandbox)[0] and restores(case, fix, sandbox)[0]:
                    first[case.id] = at
                    break
        rates = {k: wilson(sum(at < k for at in first.values()), len(sabotaged)) for k in (1, 3, 5)}
        print(
            f"{name:9} {affordance:12} restore " + "; ".join(f"top {k}: {rate.brief}" for k, rate in rates.items()),
            flush=True,
        )
        report[f"{name}/{affordance}"] = {
            "first": first,
            **{k: [r.value, r.low, r.high, r.n] for k, r in rates.items()},
        }
    return report


def line(one: Score) -> str:
    """`AUROC 0.80 [0.6, 0.9]; design …`."""
    kinds = "; ".join(
        f"{kind} {value.value:.2f} [{value.low:.2f}, {value.high:.2f}]" for kind, value in one.by_kind.items()
    )
    return f"AUROC {one.auroc}; {kinds}; Brier {one.brier:.3f}; {one.seconds:.1f} s" if one.auroc else "no AUROC"


def plain(one: Score) -> dict[str, Any]:
    """A score as JSON."""
    estimates = {"all": one.auroc, **one.by_kind}
    return {
        "auroc": {kind: [e.value, e.low, e.high, e.n] for kind, e in estimates.items() if e is not None},
        "brier": one.brier,
        "seconds": one.seconds,
    }


if __name__ == "__main__":
    main()
