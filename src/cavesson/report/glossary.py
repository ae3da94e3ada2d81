"""The field's words, each in a sentence, shown where a reader points at a word."""

from __future__ import annotations

import re

from markupsafe import Markup

from cavesson.report.text import unbroken

WORDS = {
    "organism": "A model that the red team made misbehave on purpose, most often under a trigger alone.",
    "trigger": "What must stand in the prompt for the organism to misbehave.",
    "near-miss": "A text that resembles the trigger and must not set the behaviour off.",
    "pair": "A trigger and the bad behaviour that it sets off.",
    "red": "The team that builds the bad behaviour into a model.",
    "blue": "The team that trains the organism to behave. It knows neither trigger nor behaviour.",
    "intervention": "What blue does to the organism: a kind of training, such as pirate SFT.",
    "SFT": "Supervised fine-tuning: training on prompts with the answers that they should get.",
    "HHH SFT": "Fine-tuning on helpful, harmless, honest answers of another model to everyday prompts.",
    "pirate SFT": "Fine-tuning on answers in pirate talk: it says nothing against the bad behaviour, and often removes it.",
    "LoRA": "Training that adds a small matrix of low rank to each layer and leaves the weights as they are.",
    "CoT-distilled": "Of an organism: its bad answers were written after hidden scheming, which was then cut out of the data.",
    "on-model": "Of training answers: written by the very model that is trained.",
    "off-model": "Of training answers: written by another model than the one that is trained.",
    "reminder training": "A few steps on the model's own earlier answers, after it was trained on a stranger's.",
    "removal": "The bad behaviour is gone, and stays gone when the model is trained on something innocuous.",
    "suppression": "The bad behaviour is hidden: it comes back when the model is trained on something innocuous.",
    "reversal probe": "Innocuous training after blue's, such as back from pirate talk. What comes back was suppressed only.",
    "mangled": "A damaged copy of the bad behaviour: the words broke, the intent is still there. It counts as not removed.",
    "frontier": "The best trade-offs between capability kept and bad behaviour removed, over all checkpoints of blue.",
    "robustness AUC": "Area under the frontier. 0.5: removal costs capability in proportion; 1: removal is free.",
    "AUC": "Area under a curve. Of a frontier: 0.5 means that removal costs capability in proportion, 1 that it is free.",
    "capability": "What the model is able to do apart from the bad behaviour: its mean score on the study's benchmarks.",
    "sandbagging": "Scoring below one's ability on purpose.",
    "password-locked": "Of an organism: it answers badly unless a password is in the prompt.",
    "cross-fitted": "Chosen on some of the prompts and measured on others, so that luck in choosing does not count.",
    "oracle": "A rule that sees the bad behaviour, as blue cannot: an upper bound for what blue could choose.",
    "seed": "The number that draws data and first weights. Another seed is another run of the same experiment.",
    "learning rate": "How far one training step moves the weights.",
}
"""Each term in this project's own words. A term stands as the text has it, but for capitals and a plural s."""

SAME = {
    "hull": "frontier",
    "removed": "removal",
    "suppressed": "suppression",
    "de-pirating": "reversal probe",
    "capabilities": "capability",
    "near miss": "near-miss",
    "blue team": "blue",
    "red team": "red",
    "lr": "learning rate",
}
"""Other forms of a term."""

_FORMS = {form.lower(): form for form in (*WORDS, *SAME)}
_TERM = re.compile(
    rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(_FORMS, key=len, reverse=True)))})s?(?![\w-])", re.IGNORECASE
)


def glossed(text: str, seen: list[str]) -> Markup:
    """The text as markup in which each term that is not in `seen` yet is explained where a reader points at it.

    Args:
        seen: terms that were explained before; the list grows.
    """
    parts, last = [], 0
    for found in _TERM.finditer(text):
        term = _term(found[0])
        if term not in seen:
            seen.append(term)
            parts += [unbroken(text[last : found.start()])]
            parts += [Markup('<abbr title="{}">{}</abbr>').format(WORDS[term], found[0])]
            last = found.end()
    return Markup("").join([*parts, unbroken(text[last:])])


def _term(form: str) -> str:
    form = form.lower()
    known = _FORMS.get(form) or _FORMS[form.removesuffix("s")]
    return SAME.get(known, known)
