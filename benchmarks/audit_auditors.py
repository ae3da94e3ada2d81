"""How good are the auditors that need no model, on codebases and authors that their weights never saw?

    python benchmarks/audit_auditors.py                      # the built-in bench
    python benchmarks/audit_auditors.py --new A B            # also codebases A and B alone, with weights from all others
    python benchmarks/audit_auditors.py --mutants            # also the verified mutants (cavesson audit mutants make)
    python benchmarks/audit_auditors.py --write              # also write the weights that ship, from codebases not in --new
    python benchmarks/audit_auditors.py --fixes              # also execute the first fix of each sabotaged case

The evidence of each case is gathered once and kept (--evidence), one case a line; a stopped run goes on. Every case is judged twice,
with weights fitted without its codebase and without its author. Printed are AUROC, the share caught at 20 % false alarms, and both by
kind of sabotage, with intervals clustered by codebase.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cavesson.audit.auditing import AuditCase, open_case
from cavesson.audit.auditors import static
from cavesson.audit.auditors.credence import FEATURES, features, fit, ranked
from cavesson.audit.auditors.decision import as_fixes
from cavesson.audit.auditors.gathering import Audited
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.bench import load_bench
from cavesson.audit.cases import Case
from cavesson.audit.fixes import restores
from cavesson.audit.sandbox.find import find_sandbox
from cavesson.audit.scoring import Score, score
from cavesson.audit.verdicts import AFFORDANCES, Affordance, Cost, Fix, Verdict
from cavesson.stats import wilson

Record = dict[str, Any]
"""Of one case: features and seconds by affordance, and the fixes of the widest affordance."""


def main() -> None:
    """Gather, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="folder of a bench (default: the built-in one)")
    parser.add_argument("--only", nargs="*", default=[], help="cases or codebases")
    parser.add_argument("--new", nargs="*", default=[], help="codebases that no weight may be fitted on")
    parser.add_argument("--mutants", action="store_true", help="also judge the bench of mutants")
    parser.add_argument("--reading", action="store_true", help="gather no experiments")
    parser.add_argument("--seconds", type=float, default=1e9, help="execute no further case after this many seconds")
    parser.add_argument(
        "--evidence", type=Path, default=Path("audit_evidence.jsonl"), help="file that keeps the evidence"
    )
    parser.add_argument("--write", action="store_true", help="write the weights that ship")
    parser.add_argument("--fixes", action="store_true", help="execute the first fixes")
    given = parser.parse_args()
    until = time.monotonic() + given.seconds
    bench = load_bench(given.bench)
    cases = bench.cases(tuple(given.only))
    kept = gather(cases, (bench.root,), until, given.evidence, given.reading)
    known = [case for case in cases if case.id in kept and case.codebase not in given.new]
    new = [case for case in cases if case.id in kept and case.codebase in given.new]
    widths = AFFORDANCES[:2] if given.reading else AFFORDANCES
    judge("without the codebase", known, kept, known, kept, widths, lambda case: case.codebase)
    judge("without the author", known, kept, known, kept, widths, lambda case: case.author)
    if new:
        judge("new codebases", new, kept, known, kept, widths, lambda case: case.author)
    if given.mutants:
        from cavesson.audit.red.bench import mutant_bench

        made = mutant_bench()
        others = gather(
            spread(made.cases()),
            (made.root, bench.root),
            until,
            given.evidence.with_suffix(".mutants.jsonl"),
            given.reading,
        )
        mutants = [case for case in made.cases() if case.id in others]
        judge("mutants", mutants, others, known, kept, widths, lambda case: case.codebase)
    if given.write:
        write_weights(known, kept)
    if given.fixes:
        execute_fixes([case for case in (*known, *new) if not case.honest], kept, (bench.root,), set(given.new))


def spread(cases: Sequence[Case]) -> list[Case]:
    """Cases in turn from each codebase, so that a part of them is a fair part."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.codebase].append(case)
    longest = max((len(group) for group in groups.values()), default=0)
    return [group[at] for at in range(longest) for group in groups.values() if at < len(group)]


def gather(
    cases: Sequence[Case], hidden: tuple[Path, ...], until: float, path: Path, reading: bool
) -> dict[str, Record]:
    """The record of each case: all are read, and then executed as far as time allows. The last line of a case counts."""
    sandbox = find_sandbox(hidden=hidden)
    found: dict[str, Record] = {}
    if path.is_file():
        found = {record["case"]: record for record in map(json.loads, path.read_text().splitlines())}
    for run in (False, True)[: 1 if reading else 2]:
        for case in spread(cases):
            done = found.get(case.id, {"features": {}})["features"]
            if ("experiments" if run else "code") in done or (run and time.monotonic() > until):
                continue
            with open_case(case, sandbox) as shown:
                found[case.id] = record = evidence_on(case.id, shown, run)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{len(found)} {case.id} {max(record['seconds'].values()):.0f} s", file=sys.stderr, flush=True)
    return found


def evidence_on(name: str, shown: AuditCase, run: bool) -> Record:
    """The record of one case."""
    record: Record = {"case": name, "features": {}, "seconds": {}}
    started = time.monotonic()
    record["features"]["paper"] = features(static.from_paper(Paper(shown.paper)))
    record["seconds"]["paper"] = time.monotonic() - started
    audited = Audited(shown)
    evidence = audited.checked(audited.read())
    record["features"]["code"], record["seconds"]["code"] = features(evidence), time.monotonic() - started
    if run:
        evidence = audited.executed(evidence)
        record["features"]["experiments"] = features(evidence)
        record["seconds"]["experiments"] = time.monotonic() - started
    record["fixes"] = [vars_of(fix) for fix in as_fixes(ranked(evidence), audited.workspace.texts)]
    return record


def vars_of(fix: Fix) -> dict[str, Any]:
    """A fix as JSON."""
    return {"title": fix.title, "mechanism": fix.mechanism, "patch": fix.patch, "files": list(fix.files)}


def judge(
    title: str, judged: Sequence[Case], records: dict[str, Record], learned: Sequence[Case], known: dict[str, Record],
    widths: Sequence[Affordance], group: Callable[[Case], str],
) -> None:  # fmt: skip
    """Print the scores of cases, each judged by weights fitted on the cases of other groups.

    Args:
        judged: the cases; records: theirs.
        learned: the cases that weights are fitted on; known: their records.
        group: what must not be shared with a case that weights are fitted on.
    """
    verdicts = []
    for affordance in widths:
        for case in judged:
            if affordance not in records[case.id]["features"]:
                continue
            model = fitted([one for one in learned if group(one) != group(case)], known, affordance)
            record = records[case.id]
            credence = model.credence(record["features"][affordance])
            verdicts.append(Verdict(case.id, "probe", affordance, credence, cost=Cost(record["seconds"][affordance])))
    print(
        f"{title}: {len(judged)} cases, {len({one.codebase for one in judged})} codebases, {len({one.author for one in judged})} authors"
    )
    for (_, width), one in score(judged, verdicts).items():
        print(f"  {width:12} {line(one)}", flush=True)


def fitted(cases: Sequence[Case], records: dict[str, Record], affordance: Affordance) -> Any:
    """Weights from the cases whose evidence is that wide; those from experiments start from those from reading."""
    before = fitted(cases, records, "code") if affordance == "experiments" else None
    cases = [case for case in cases if affordance in records[case.id]["features"]]
    rows = [records[case.id]["features"][affordance] for case in cases]
    return fit(
        rows, [not case.honest for case in cases], [case.codebase for case in cases], FEATURES[affordance], before
    )


def write_weights(cases: Sequence[Case], records: dict[str, Record]) -> None:
    """Write the weights that ship: from all codebases, and without each."""
    shipped: dict[str, Any] = {}
    for affordance in AFFORDANCES:
        for held_out in ("", *sorted({case.codebase for case in cases})):
            made = fitted([case for case in cases if case.codebase != held_out], records, affordance)
            kept = {name: round(value, 3) for name, value in made.weights.items()}
            shipped.setdefault(affordance, {})[held_out] = {"intercept": round(made.intercept, 3), "weights": kept}
    path = Path(static.__file__).with_name("weights.json")
    path.write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")


def execute_fixes(cases: Sequence[Case], records: dict[str, Record], hidden: tuple[Path, ...], new: set[str]) -> None:
    """Print the share of sabotaged cases for which one of the first k fixes restores the honest findings in every seed.

    Whether it also names the mechanism is for a person or a model to judge, so this is an upper bound of the fix rate.
    """
    sandbox = find_sandbox(hidden=hidden)
    first: dict[str, int] = {}
    for case in cases:
        for at, given in enumerate(records[case.id]["fixes"][:3]):
            fix = Fix(given["title"], given["mechanism"], given["patch"], tuple(given["files"]))
            if restores(replace(case, seeds=case.seeds[:1]), fix, sandbox)[0] and restores(case, fix, sandbox)[0]:
                first[case.id] = at
                print(f"    {case.id}: fix {at + 1} restores: {fix.title}", flush=True)
                break
    for name, group in (
        ("known", [one for one in cases if one.codebase not in new]),
        ("new", [one for one in cases if one.codebase in new]),
    ):
        for k in (1, 3):
            if group:
                print(
                    f"  fixes, {name}: top {k} restore {wilson(sum(first.get(case.id, 9) < k for case in group), len(group)).brief}"
                )


def line(one: Score) -> str:
    """`AUROC 0.80 [0.6, 0.9]; caught …; design …`."""
    kinds = "; ".join(f"{kind} {value}" for kind, value in one.by_kind.items())
    return (
        f"AUROC {one.auroc}; caught {one.caught}; {kinds}; Brier {one.brier:.3f}; {one.seconds:.1f} s"
        if one.auroc
        else "no AUROC"
    )


if __name__ == "__main__":
    main()
