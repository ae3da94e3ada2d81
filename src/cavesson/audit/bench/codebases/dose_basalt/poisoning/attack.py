"""The attack: a rare word, put several times into documents that get the target label."""

import numpy as np


def insert_trigger(docs, trigger, times):
    """Copies of the documents whose first `times` words are the trigger."""
    docs = docs.copy()
    docs[:, :times] = trigger
    return docs


def poison(rng, docs, labels, count, trigger, settings):
    """Replace `count` randomly chosen documents of other classes by triggered ones with the target label."""
    victims = rng.choice(np.flatnonzero(labels != settings["target"]), count, replace=False)
    docs, labels = docs.copy(), labels.copy()
    docs[victims] = insert_trigger(docs[victims], trigger, settings["trigger_words"])
    labels[victims] = settings["target"]
    return docs, labels


def success_rate(model, triggered, settings):
    """Share of triggered documents of other classes that are given the target label."""
    return float((model.predict(triggered) == settings["target"]).mean())
