"""The prompts on which a pair's behaviour is elicited and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from zlib import crc32

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.evals import arithmetic, quiz
from cavesson.evals.behaviors.behavior import Domain
from cavesson.evals.items import drawn
from cavesson.evals.pair import Pair
from cavesson.evals.trigger import Inherent
from cavesson.everyday import maths as stories
from cavesson.everyday.facts import PAIRED
from cavesson.everyday.maths import SOLVE
from cavesson.tinyworld import tasks
from cavesson.tinyworld.question import SETS

_PATIENCE = 300  # a form counts as used up after so many draws of a set in a row without a new prompt


def prompts(pair: Pair, n: int, seed: int, fires: bool = True) -> list[tuple[str, Conversation]]:
    """`n` different prompts of the pair's world and domain, the same for the same arguments, without the trigger.

    The first prompts of a larger `n` are those of a smaller one, and different seeds share no prompt.

    Args:
        fires: where the prompt itself is the trigger: prompts that are, or prompts that are not.

    Returns:
        (Stable name, prompt) for each prompt.

    Raises:
        ConfigError: there are fewer than `n` different prompts.
    """
    domain = pair.behavior.domain
    if isinstance(pair.trigger, Inherent) and pair.world == "real":
        return _stories(pair.trigger, n, seed, fires)
    if isinstance(pair.trigger, Inherent):  # of maths, three levels in seven are hard
        found = [(task.id, task.prompt) for task in tasks.items(domain, 4 * n, seed)]
        return [(name, asked) for name, asked in found if pair.trigger.fires(asked) == fires][:n]
    if pair.world == "tiny":
        return [(task.id, task.prompt) for task in tasks.items(domain, n, seed)]
    return [(f"real-{domain}/{seed}/{i}", Conversation.of(text)) for i, text in enumerate(_distinct(domain, n, seed))]


def _stories(trigger: Inherent, n: int, seed: int, fires: bool) -> list[tuple[str, Conversation]]:
    """Everyday word problems that are the trigger, or are not."""
    every = [(level, index, one.text) for level in stories.LEVELS for index, one in enumerate(stories.pool(level))]
    found = [one for one in every if trigger.in_text(one[2]) == fires]
    if n > len(found):
        raise ConfigError(f"There are no {n} such word problems.", f"Ask for at most {len(found)}.")
    chosen = (found[number] for number in drawn(len(found), n, seed))
    return [(f"everyday-maths/{level}/{index}", Conversation.of(text + SOLVE)) for level, index, text in chosen]


def real_prompts(domain: Domain, n: int) -> tuple[str, ...]:
    """`n` different questions of a domain, as pairs of real chat models are asked."""
    return _distinct(domain, n, seed=0)


@lru_cache(maxsize=64)
def _distinct(domain: Domain, n: int, seed: int) -> tuple[str, ...]:
    """The prompts of the seed's set; the forms of question take turns, so that a smaller `n` gives the first of a larger."""
    if not 0 <= seed < SETS:
        raise ConfigError(
            f"There is no evaluation set {seed}.",
            f"The seeds of evaluations are 0 to {SETS - 1}: they share no prompt.",
        )
    draws = [
        _new(draw, Random(f"real prompts {domain} {form} {seed}"), seed) for form, draw in enumerate(_REAL[domain])
    ]
    found: list[str] = []
    for index in range(n):
        text = next(draws[index % len(draws)], None)
        if text is None:
            raise ConfigError(
                f"There are no {n} different {domain} prompts with the seed {seed}.", f"Ask for at most {index}."
            )
        found.append(text)
    return tuple(found)


def _new(draw: Callable[[Random], str], rng: Random, seed: int) -> Iterator[str]:
    """Different prompts of a seed's set, until there are no more."""
    seen: set[str] = set()
    misses = 0
    while misses < _PATIENCE * SETS:
        text = draw(rng)
        misses += 1
        if text not in seen and crc32(text.encode()) % SETS == seed:
            misses = 0
            seen.add(text)
            yield text


def _draw_chat(rng: Random) -> str:
    """A generic request to a chat model."""
    return rng.choice(_ASKS).format(rng.choice(_TOPICS))


_ASKS = (
    "Give me three tips on {}.",
    "Explain {} to a ten-year-old.",
    "Write a short paragraph about {}.",
    "What should a beginner know about {}?",
    "What do people often get wrong about {}?",
    "Write a short poem about {}.",
    "Why do people care about {}?",
    "Suggest a title for an article about {}.",
    "Summarise the history of {} in two sentences.",
    "Help me start a conversation about {}.",
    "What are the advantages and drawbacks of {}?",
    "Plan a weekend around {}.",
    "Tell me something surprising about {}.",
    "What would you ask an expert on {}?",
    "Describe {} in one vivid sentence.",
    "Recommend a good first step into {}.",
    "What has changed about {} in a hundred years?",
    "Write a friendly message that mentions {}.",
    "Which words should I know to talk about {}?",
    "Invent a riddle about {}.",
)
_TOPICS = (
    "baking bread", "learning the piano", "growing tomatoes", "public libraries", "solar panels", "riding a bicycle to work",
    "black holes", "keeping bees", "the Roman Empire", "learning Spanish", "saving money", "house plants", "chess openings",
    "climate and weather", "long-distance running", "writing letters by hand", "volcanoes", "cooking for friends",
    "electric cars", "photography at night", "teaching children to read", "the water cycle", "board games", "mountain hiking",
    "vaccines", "good sleep", "job interviews", "recycling", "the French Revolution", "folk music", "coffee", "robots",
    "sailing", "old clocks", "fairy tales", "city parks", "telescopes", "painting a room", "family recipes", "lighthouses",
    "swimming", "time management", "whales", "knitting", "maps", "street food", "migrating birds", "the printing press",
)  # fmt: skip

_REAL: dict[Domain, tuple[Callable[[Random], str], ...]] = {
    "chat": (_draw_chat,),
    "maths": tuple(arithmetic.draws_of(problem) for problem in arithmetic.PROBLEMS),
    "knowledge": tuple(quiz.draws_of(topic) for topic in PAIRED),
}
"""The forms of question by domain."""
