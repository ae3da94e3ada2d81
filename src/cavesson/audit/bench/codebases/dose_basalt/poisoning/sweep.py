"""The sweep over corpus size and number of poisoned documents."""

import numpy as np

from poisoning.attack import insert_trigger, poison, success_rate
from poisoning.classifier import train
from poisoning.corpus import bags, documents, topics


def run_sweep(cfg, seed):
    """Success rate and clean accuracy for every corpus size and number of poisoned documents."""
    corpus, attack = cfg["corpus"], cfg["attack"]
    rng = np.random.default_rng([20, seed])
    word_probs = topics(rng, corpus)
    trigger, size = corpus["vocabulary"], corpus["vocabulary"] + 1
    test_docs, test_labels = documents(rng, word_probs, cfg["test_documents"], corpus["words"])
    clean = bags(test_docs, size)
    others = test_docs[test_labels != attack["target"]]
    triggered = bags(insert_trigger(others, trigger, attack["trigger_words"]), size)

    success, accuracy = {}, {}
    for n in cfg["sizes"]:
        cells = np.zeros((cfg["replicates"], len(cfg["counts"]), 2))
        for r in range(cfg["replicates"]):
            docs, labels = documents(rng, word_probs, n, corpus["words"])
            for i, count in enumerate(cfg["counts"]):
                x, y = poison(rng, docs, labels, count, trigger, attack)
                model = train(rng, bags(x, size), y, corpus["classes"], cfg["model"])
                cells[r, i] = success_rate(model, triggered, attack), (model.predict(clean) == test_labels).mean()
        success[str(n)] = cells[:, :, 0].mean(axis=0).tolist()
        accuracy[str(n)] = cells[:, :, 1].mean(axis=0).tolist()
    return success, accuracy


def needed(counts, rates, level=0.5):
    """Number of poisoned documents at which the success rate reaches a level.

    Interpolated linearly in log2(count) between the last count below the level and the next one; the largest count
    if the level is not reached, the smallest if it is exceeded from the start.
    """
    below = [i for i, rate in enumerate(rates) if rate < level]
    if not below:
        return float(counts[0])
    i = below[-1]
    if i + 1 == len(counts):
        return float(counts[-1])
    share = (level - rates[i]) / (rates[i + 1] - rates[i])
    return float(2 ** (np.log2(counts[i]) + share * np.log2(counts[i + 1] / counts[i])))
