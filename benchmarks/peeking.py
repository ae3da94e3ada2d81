"""How often is an A/B test wrong that is looked at again and again, and how soon does it find an effect?

    python benchmarks/peeking.py [error] [power] [harm] [rare] [noise] [--streams 1000]

Prints the tables of `docs/notes/production.md` as Markdown. One core; 1,000 streams take some ten minutes in all.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from cavesson.production.ab import LabelErrors, Plan, compare
from cavesson.production.deployment import Answers, Delays, Deployment, KindOfTask, effects, stream
from cavesson.production.trial import RULES, Trial, deployed

TASKS, DAYS, SEED = 10_000, 40, 0
PLAIN = Delays()
HIDING = Delays(with_measure=6.0)


def answers(kind: str, without: float, with_: float, n: int = 1000) -> Answers:
    """A table of answers with given rates of bad ones."""
    sides = [tuple(float(i < round(rate * n)) for i in range(n)) for rate in (without, with_)]
    return Answers(kind, sides[0], sides[1])


def two_kinds(**settings: object) -> Deployment:
    """Everyday tasks, and hard ones whose share doubles."""
    kinds = (KindOfTask(name="everyday", share=0.8, later=0.6), KindOfTask(name="hard", share=0.2, later=0.4))
    return Deployment(kinds=kinds, tasks=TASKS, days=DAYS, seed=SEED, **settings)  # type: ignore[arg-type]


def table(title: str, header: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| " + " | ".join(header) + " |\n| " + " | ".join("---" for _ in header) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def decided(trial: Trial, rule: str) -> str:
    """How often a rule decided at all: an error where there is no effect."""
    row = trial.rule(rule)
    return f"{100 * (1 - row.undecided.value):.1f}"


def error(streams: int) -> None:
    """No effect: how often each rule finds one."""
    rows = []
    for name, delays in (
        ("labels after 1 and 2 days", PLAIN),
        ("bad outcomes noticed 6 times later with the measure", HIDING),
    ):
        for rate in (0.02, 0.2, 0.5):
            pair = (answers("everyday", rate, rate), answers("hard", min(2 * rate, 0.8), min(2 * rate, 0.8)))
            trial = deployed([pair], two_kinds(delays=delays), streams=streams)
            rows.append([name, f"{rate:g}", *(decided(trial, rule) for rule in RULES)])
    table(f"No effect: decisions in % of {streams} streams, 40 looks", ["delays", "rate", *RULES], rows)


def power(streams: int) -> None:
    """How often, and how soon, the sequence finds an effect."""
    rows = []
    for without, with_ in ((0.1, 0.08), (0.1, 0.05), (0.1, 0.02), (0.4, 0.36), (0.4, 0.3), (0.4, 0.2)):
        pair = (answers("everyday", without, with_), answers("hard", without, with_))
        trial = deployed([pair], two_kinds(), streams=streams, rules=list(RULES)[:3])
        first, peek, end = trial.rules
        rows.append(
            [f"{without:g} → {with_:g}", f"{100 * first.shipped.value:.0f}", f"{first.median_days:.0f}", f"{first.regret:.0f}",
             f"{100 * end.shipped.value:.0f}", f"{end.regret:.0f}", f"{peek.regret:.0f}", f"{100 * peek.dropped.value:.1f}"]
        )  # fmt: skip
    header = ["rate", "sequence ships, %", "median day", "its regret", "t-test at the end ships, %", "its regret",
              "regret of the t-test at every look", "its wrong drops, %"]  # fmt: skip
    table(f"An effect, {streams} streams of {TASKS:,} tasks", header, rows)


def harm(streams: int) -> None:
    """A measure that does harm and hides it: what each rule's mistakes cost."""
    rows = []
    for without, with_, delays in ((0.1, 0.12, PLAIN), (0.1, 0.12, HIDING), (0.1, 0.102, PLAIN)):
        pair = (answers("everyday", without, with_), answers("hard", without, with_))
        trial = deployed([pair], two_kinds(delays=delays), streams=streams)
        hides = "6 times later" if delays is HIDING else "as soon"
        rows += [
            [f"{without:g} → {with_:g}, noticed {hides}", row.rule, f"{100 * row.shipped.value:.1f}", f"{100 * row.dropped.value:.1f}",
             f"{row.median_days:.0f}", f"{row.regret:.0f}"]
            for row in trial.rules
        ]  # fmt: skip
    table(f"Harm, {streams} streams", ["rate", "rule", "ships (wrong), %", "drops, %", "median day", "regret"], rows)


def rare(streams: int) -> None:
    """Incidents in rare tasks, 100 times as dear as a wrong answer; the measure costs quality."""
    rows = []
    for share in (0.002, 0.01, 0.05):
        kinds = (KindOfTask(name="everyday", share=1 - share), KindOfTask(name="incident", share=share, cost=100.0))
        deployment = Deployment(kinds=kinds, tasks=TASKS, days=DAYS, seed=SEED)
        pair = (answers("everyday", 0.1, 0.12), answers("incident", 0.9, 0.1))
        trial = deployed([pair], deployment, streams=streams, rules=list(RULES)[:1])
        row = trial.rules[0]
        rows.append([f"{share:g}", f"{100 * row.shipped.value:.0f}", f"{row.median_days:.0f}", f"{row.regret:.1f}"])
    table(f"Rare triggers, {streams} streams", ["share of the tasks", "ships, %", "median day", "regret"], rows)


def noise(streams: int) -> None:
    """Labels that err: coverage of the true effect at all looks at once, without and with correction."""
    rows = []
    for same in (True, False):
        deployment = two_kinds(false_alarms=0.05, misses=0.3)
        pair = (answers("everyday", 0.3, 0.1), answers("hard", 0.3, 0.1))
        errors = LabelErrors(false_alarms=(0.03, 0.07), misses=(0.2, 0.4), same_in_both_arms=same)
        for name, plan in (("as they are", Plan()), ("corrected", Plan(label_errors=errors))):
            covered, widths, shipped = 0, [], 0
            for seed in range(streams):
                log = stream(pair, deployment, seed)
                truth = np.cumsum(effects(pair, deployment)[log.kind]) / np.arange(1, len(log) + 1)
                looks = compare(log, plan, stop=False).looks
                covered += all(look.low <= truth[max(look.counted, 1) - 1] <= look.high for look in looks)
                widths.append(looks[-1].high - looks[-1].low)
                shipped += any(look.verdict == "ship" for look in looks)
            rows.append(
                [name, "known to be alike" if same else "may differ", f"{100 * covered / streams:.1f}",
                 f"{np.mean(widths):.3f}", f"{100 * shipped / streams:.0f}"]
            )  # fmt: skip
    header = ["labels", "errors in the two arms", "all looks cover, %", "width at the end", "ships, %"]
    table(f"Labels with 5 % false alarms and 30 % misses, {streams} streams, true effect −0.2", header, rows)


def main() -> None:
    """Print the tables that are named, or all."""
    asked = [word for word in sys.argv[1:] if not word.startswith("-") and not word.isdigit()]
    streams = int(sys.argv[sys.argv.index("--streams") + 1]) if "--streams" in sys.argv else 1000
    for name, part in {"error": error, "power": power, "harm": harm, "rare": rare, "noise": noise}.items():
        if not asked or name in asked:
            began = time.time()
            part(streams)
            print(f"\n({time.time() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
