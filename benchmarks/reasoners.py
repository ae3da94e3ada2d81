"""What the tiny world's reasoners can do, and what weaker models make of their reasoning: python benchmarks/reasoners.py [--n 480].

Held-out maths of levels 3 to 5 in equal shares, greedy decoding, per cent with 95 % Wilson intervals. Without reasoning: the prompt
closes the reasoning (`enable_thinking: false`), takes no latent steps (`latent_steps: 0`), or asks for the number only.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from cavesson.data.example import Example
from cavesson.models.model import Model
from cavesson.models.recipes import ModelRecipe, Pruned
from cavesson.named import model_named
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.perplexity import likelihoods
from cavesson.sampling.sampler import Params
from cavesson.stats import wilson
from cavesson.tinyworld import cipher
from cavesson.tinyworld.authors import reasoning
from cavesson.tinyworld.recipes import Shipped, shipped_names
from cavesson.tinyworld.tasks import TaskItem, items, score

LEVELS = (3, 4, 5)
OFF = {
    "reasoner": "enable_thinking=false",
    "reasoner-cipher": "enable_thinking=false",
    "reasoner-latent": "latent_steps=0",
}
TRUSTED = ("small", "weak")
PRUNED = (("weak", 0.3), ("weak", 0.35))


def load(recipe: ModelRecipe) -> Model:
    return recipe.load(lambda _: Path())


def percent(right: int, n: int) -> str:
    found = wilson(right, n)
    return f"{100 * found.value:.1f} ({100 * found.low:.0f}–{100 * found.high:.0f})"


def accuracy(model: Model, asked: list[TaskItem]) -> str:
    """The share of right answers, all levels together and level by level."""
    answers = sampler_for(model).sample([item.prompt for item in asked], Params(max_tokens=160))
    right = [score(item, answer.text) for item, [answer] in zip(asked, answers, strict=True)]
    levels = [[hit for hit, item in zip(right, asked, strict=True) if item.level == level] for level in LEVELS]
    return f"{percent(sum(right), len(right))} | {' | '.join(percent(sum(one), len(one)) for one in levels)}"


def parsed(model: Model, asked: list[TaskItem]) -> str:
    """Of a model's reasoning in the cipher: the share that can be read, and the share that is right step by step."""
    answers = sampler_for(model).sample([item.prompt for item in asked], Params(max_tokens=160))
    thoughts = [answer.text.partition("<think>")[2].partition("</think>")[0] for [answer] in answers]
    read = sum(cipher.read(thought) is not None for thought in thoughts)
    right = sum(cipher.is_right(item.meta["chain"], thought) for item, thought in zip(asked, thoughts, strict=True))
    return f"can be read {percent(read, len(asked))}, right step by step {percent(right, len(asked))}"


def legibility(model: Model, asked: list[TaskItem], notation: str) -> str:
    """How likely the right reasoning is to a model: nats a token, and the share of problems whose own reasoning is likelier than
    that of another problem with as many steps."""

    def written(item: TaskItem) -> str:
        chain = item.meta["chain"]
        return f" {cipher.write(chain)}" if notation == "cipher" else reasoning("A", chain)[0]

    pairs = []
    for item in asked:
        others = [one for one in asked if one.meta["steps"] == item.meta["steps"] and one is not item]
        pairs.append((item, random.Random(item.id).choice(others)))
    own, other = (
        list(
            likelihoods(
                model, [Example(a.prompt.answered(written(pair[k]))) for a, pair in zip(asked, pairs, strict=True)]
            )
        )
        for k in (0, 1)
    )
    likelier = sum(mine.of_text > theirs.of_text for mine, theirs in zip(own, other, strict=True))
    nats = [-sum(each.of_text for each in rows) / sum(len(each.logprobs) - 1 for each in rows) for rows in (own, other)]
    return f"{nats[0]:.2f} nats a token (another problem's: {nats[1]:.2f}); own is likelier in {percent(likelier, len(asked))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=480)
    n = parser.parse_args().n
    asked = items("maths", n, levels=LEVELS)
    bare = items("maths", n, levels=LEVELS, cot=False)
    print(f"| model, n = {n} | levels 3–5 | level 3 | level 4 | level 5 |\n| --- | --- | --- | --- | --- |")
    for name, off in OFF.items():
        if name in shipped_names():
            print(f"| {name} | {accuracy(load(Shipped(name=name)), asked)} |", flush=True)
            print(f"| {name}, {off} | {accuracy(load(model_named(f'{name}:{off}')), asked)} |", flush=True)
    for name in TRUSTED:
        print(f"| {name} | {accuracy(load(Shipped(name=name)), asked)} |", flush=True)
        print(f"| {name}, number only | {accuracy(load(Shipped(name=name)), bare)} |", flush=True)
    for name, share in PRUNED:
        pruned = Pruned(base=Shipped(name=name), share=share)
        print(f"| {name} pruned by {100 * share:.0f} % | {accuracy(load(pruned), asked)} |", flush=True)
    if "reasoner-cipher" in shipped_names():
        print("\nreasoner-cipher:", parsed(load(Shipped(name="reasoner-cipher")), asked))
    for name in (*TRUSTED, "student", "reasoner"):
        for notation in ("readable", "cipher"):
            print(
                f"{name} reads the {notation} reasoning:",
                legibility(load(Shipped(name=name)), asked, notation),
                flush=True,
            )


if __name__ == "__main__":
    main()
