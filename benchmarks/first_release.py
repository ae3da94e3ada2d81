"""Training and evaluation today against the first release, on the same network and data.

    git worktree add --detach ../first bd44173
    python benchmarks/first_release.py ../first --repeats 3

The commit is the last one under the project's first name, Bridle 0.1.0. Each contestant runs in a process of its own, by turns, on one
thread: the shipped student of today, the conversations of `sft_vs_trl.py`, and the prompts of the quick study's suite, which both answer
greedily. The first release trains as it came (bf16 where the processor has it) and in fp32, in which the tiny world trains today. Figures
are of processor time; the first fifth of the steps is not counted. Answers in which the two differ are counted.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

PACKAGES = ("cavesson", "bridle")
BATCH, LR, STEPS = 16, 3e-4, 150


def train(package: str, folder: Path, precision: str) -> Figures:
    """A training step of a release."""
    of = _importer(package)
    clock: list[float] = []

    display = of("lab.progress").Silent()
    display.progress = lambda *_, **__: clock.append(time.process_time())
    run = of("training.recipes").Trained(
        base=of("models.recipes").HFModel(path=str(folder / "student")),
        data=of("data.recipes").Jsonl(path=str(folder / "chat.jsonl")),
        steps=STEPS,
        batch_size=BATCH,
        lr=LR,
        **({} if precision == "auto" else {"precision": precision}),
    )
    with (
        tempfile.TemporaryDirectory() as place,
        of("lab.lab").Lab(of("lab.store").Store(Path(place)), display=display) as lab,
    ):
        lab.make([run])
        rows = [json.loads(line) for line in (lab.path(run) / "losses.jsonl").read_text().splitlines()]
    skip = STEPS // 5
    seconds = clock[-1] - clock[skip]
    return {"tokens_per_second": sum(row["tokens"] for row in rows[skip + 1 :]) / seconds, "loss": rows[-1]["loss"]}


def answer(package: str, folder: Path) -> Figures:
    """The suite's prompts answered by a release; the model is loaded and warm."""
    of = _importer(package)
    model = of("models.recipes").HFModel(path=str(folder / "student")).load(lambda recipe: Path())
    sampler: Callable[[Any], Any]
    sampler = of("sampling.choice").sampler_for if package == "cavesson" else of("sampling.native").NativeSampler
    params, chat = of("sampling.sampler").Params, of("chat")
    questions = [
        (room, [chat.Conversation(tuple(chat.Message(**one) for one in prompt)) for prompt in prompts])
        for room, prompts in json.loads((folder / "prompts.json").read_text())
    ]
    sampler(model).sample(questions[0][1][:8], params(max_tokens=8))
    start = time.process_time()
    asked = sampler(model)
    said = [list(one[0].ids) for room, prompts in questions for one in asked.sample(prompts, params(max_tokens=room))]
    return {"processor": time.process_time() - start, "answers": said}


def _importer(package: str) -> Callable[[str], Any]:
    return lambda name: import_module(f"{package}.{name}")


def prepare(folder: Path) -> None:
    """The network, the conversations and the prompts that both get."""
    from cavesson.tinyworld.recipes import Shipped
    from eval_vs_generate import asked, suite
    from sft_vs_trl import CONVERSATIONS, conversations

    shutil.copytree(Shipped(name="student").folder, folder / "student")
    conversations(folder / "chat.jsonl", CONVERSATIONS, seed=1)
    rooms = [
        (room, [[{"role": m.role, "content": m.content} for m in prompt.messages] for prompt in prompts])
        for room, prompts in asked(suite(0))
    ]
    (folder / "prompts.json").write_text(json.dumps(rooms))


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("tree", type=Path, help="a checkout of the first release")
    made.add_argument("--one", nargs=2, metavar=("PACKAGE", "TASK"))
    made.add_argument("--folder", type=Path)
    chosen = made.parse_args()
    if chosen.one:
        package, task = chosen.one
        sys.path.insert(0, str(chosen.tree / "src"))
        found = answer(package, chosen.folder) if task == "answer" else train(package, chosen.folder, task)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder)

        def apart(name: str) -> Any:
            return lambda: in_process(__file__, chosen.tree.resolve(), "--one", *name.split(), "--folder", folder)

        names = [f"{package} {task}" for task in ("auto", "fp32", "answer") for package in PACKAGES]
        runs = take_turns({name: apart(name) for name in names}, chosen.repeats)
    rows = []
    for task, what in (("auto", "SFT as it comes, tokens/s"), ("fp32", "SFT in fp32, tokens/s")):
        now, first = (runs[f"{package} {task}"] for package in PACKAGES)
        figures = [f"{median(one, 'tokens_per_second'):,.0f}" for one in (now, first)]
        rows.append((what, *figures, ratio(now, first, "tokens_per_second")))
    now, first = (runs[f"{package} answer"] for package in PACKAGES)
    figures = [f"{median(one, 'processor'):.2f}" for one in (now, first)]
    rows.append(("the quick suite, seconds", *figures, ratio(first, now, "processor")))
    pairs = [
        pair for a, b in zip(now, first, strict=True) for pair in zip(a.pop("answers"), b.pop("answers"), strict=True)
    ]
    different = sum(a != b for a, b in pairs)
    text = table(("", "today", "first release", "faster by"), rows)
    text += f"\n\nAnswers that differ: {different} of {len(pairs)}. Last losses in fp32: "
    text += ", ".join(f"{statistics.fmean(run['loss'] for run in runs[f'{one} fp32']):.5f}" for one in PACKAGES) + "."
    publish("first_release", f"Today against the first release, one thread, n = {chosen.repeats}", text, runs)


if __name__ == "__main__":
    main()
