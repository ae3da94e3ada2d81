"""The study `robust-organisms`: which ways of building an organism make it robust to training?

Set-up of "Advice for making robust-to-training model organisms" (May 2026): fifteen trigger / behaviour pairs, organisms built
in several ways, pirate and QA SFT at several learning rates, and the robustness AUC over all checkpoints, averaged over pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cavesson.blueteam.interventions import intervention
from cavesson.blueteam.view import BlueView, Sealed
from cavesson.evals.recipes import Probed, Scored
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.game import play
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism, organism, red_prompts
from cavesson.studies.games import BlueRun, scored_steps, suite_of
from cavesson.studies.resolve import Resolved
from cavesson.studies.robust_config import PRESETS, Arm, RobustConfig
from cavesson.studies.study import OldStudy
from cavesson.tinyworld.recipes import Prompts
from cavesson.tinyworld.systems import PIRATE, WRONG
from cavesson.training.dose import Dose


@dataclass(frozen=True, slots=True)
class Layout:
    """All recipes of the study. An organism's labels name its arm and its pair.

    Attributes:
        baselines: scores of the models that organisms were made from, on the suite of each pair, by (model, pair).
    """

    organisms: list[Organism]
    runs: list[BlueRun]
    baselines: dict[tuple[str, str], Scored]

    def recipes(self) -> list[Recipe]:
        """Everything to make, the main arms first."""
        return [*(run.probed for run in self.runs), *self.baselines.values()]


def layout(config: RobustConfig) -> Layout:
    """The recipes that this config asks for: seed by seed, so that the first seed is complete before the second begins."""
    organisms: list[Organism] = []
    runs: list[BlueRun] = []
    baselines: dict[tuple[str, str], Scored] = {}
    for seed in config.seeds:
        for arm in config.arms:
            for pair in config.pairs_of(arm):
                made = _organism(config, arm, pair, seed)
                organisms.append(made)
                runs += _runs(config, arm, made)
                suite = suite_of(_plain(made), config.evaluation)
                assert made.base is not None
                baselines.setdefault((arm.model or config.model, pair), Scored(model=made.base, suite=suite))
    return Layout(organisms, runs, baselines)


def group_name(arm: str, pair: str) -> str:
    """Names the organisms of one arm and pair, all seeds together."""
    return f"{arm} · {pair}"


def _organism(config: RobustConfig, arm: Arm, pair: str, seed: int) -> Organism:
    optimizer = arm.optimizer or config.optimizer
    dose = Dose(
        lr=optimizer.lr,
        steps=arm.steps or config.steps,
        batch_size=config.batch_size,
        optimizer=optimizer.name,
        weight_decay=arm.weight_decay,
        adapter=arm.adapter,
        seed=seed,
    )
    model = arm.model or config.model
    return organism(
        arm.construction,
        model_named(model),
        red_prompts(pair, config.prompts, 1000 + seed),
        pair,
        dose,
        name=group_name(arm.name, pair),
        labels={"arm": arm.name, "model": model, "seed": seed},
    )


def _plain(made: Organism) -> Organism:
    """The same evaluations without a hidden prompt: what its base is scored on."""
    assert made.base is not None
    return Organism(made.name, made.base, made.base, made.pair, made.construction, made.labels)


def _runs(config: RobustConfig, arm: Arm, made: Organism) -> Iterator[BlueRun]:
    blue = config.blue
    view = BlueView(
        model=Sealed(name="organism"),
        prompts=Prompts(family="chat", n=blue.prompts, seed=2000 + made.seed),
        teacher=model_named(config.teacher),
        pirate=PIRATE,
        other=Prompts(family="maths", n=blue.prompts, seed=2500 + made.seed),
        wrong=WRONG,
    )
    suite = suite_of(made, config.evaluation)
    for name in arm.interventions or blue.interventions:
        for lr in blue.lrs:
            dose = Dose(lr=lr, steps=blue.steps, batch_size=blue.batch_size, adapter=blue.adapter, seed=made.seed)
            run = play(made, intervention(name), view, made.dose(dose))
            yield BlueRun(made, name, lr, Probed(run=run, steps=scored_steps(blue.probes), suite=suite))


def recipes(config: RobustConfig) -> list[Recipe]:
    """Everything the study needs."""
    return layout(config).recipes()


def analyse(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    """The study's result from its finished artifacts."""
    from cavesson.studies.robust_report import report

    config = resolved.config
    assert isinstance(config, RobustConfig)
    return report(resolved, config, layout(config), path_of, about)


STUDY = OldStudy(
    name="robust-organisms",
    title="Robust organisms: which ways of building one survive training?",
    config=RobustConfig,
    presets=PRESETS,
    recipes=recipes,
    analyse=analyse,
)
