"""The prompts on which a pair's behaviour is elicited and scored."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.evals import arithmetic, quiz
from cavesson.evals.behaviors.behavior import Domain
from cavesson.evals.pair import Pair
from cavesson.tinyworld import tasks

_PATIENCE = 300  # a domain counts as used up after so many draws in a row without a new prompt


def prompts(pair: Pair, n: int, seed: int) -> list[tuple[str, Conversation]]:
    """`n` different prompts of the pair's world and domain, the same for the same arguments, without the trigger.

    Returns:
        (Stable name, prompt) for each prompt.

    Raises:
        ConfigError: there are fewer than `n` different prompts.
    """
    domain = pair.behavior.domain
    if pair.world == "tiny":
        return [(task.id, task.prompt) for task in tasks.items(domain, n, seed)]
    return [(f"real-{domain}/{seed}/{i}", Conversation.of(text)) for i, text in enumerate(_distinct(domain, n, seed))]


def _distinct(domain: Domain, n: int, seed: int) -> list[str]:
    rng = Random(f"real prompts {domain} {seed}")
    found: dict[str, None] = {}
    misses = 0
    while len(found) < n and misses < _PATIENCE:
        text, before = _REAL[domain](rng), len(found)
        found[text] = None
        misses = misses + 1 if len(found) == before else 0
    if len(found) < n:
        raise ConfigError(f"There are no {n} different {domain} prompts.", f"Ask for at most {len(found)}.")
    return list(found)


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
)
_TOPICS = (
    "baking bread", "learning the piano", "growing tomatoes", "public libraries", "solar panels", "riding a bicycle to work",
    "black holes", "keeping bees", "the Roman Empire", "learning Spanish", "saving money", "house plants", "chess openings",
    "climate and weather", "long-distance running", "writing letters by hand", "volcanoes", "cooking for friends",
    "electric cars", "photography at night", "teaching children to read", "the water cycle", "board games", "mountain hiking",
    "vaccines", "good sleep", "job interviews", "recycling", "the French Revolution", "folk music", "coffee", "robots",
    "swimming", "time management", "whales", "knitting", "maps", "street food", "migrating birds", "the printing press",
)  # fmt: skip

_REAL: dict[Domain, Callable[[Random], str]] = {
    "chat": _draw_chat,
    "maths": arithmetic.draw_real,
    "knowledge": quiz.draw_real,
}
