"""Train the probes on confounded claims and score them on claims with any degree of confounding."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from claims import Claims, World
from network import Network
from probes import LinearProbe, Standardiser, auroc, cosine, logistic, mean_difference


def activations(net: Network, world: World, claims: Claims, layer: int) -> np.ndarray:
    return net.layers(world.encode(claims))[layer]


def fit_probes(net: Network, world: World, cfg: dict, rng: np.random.Generator) -> list[LinearProbe]:
    """Both probes see the same claims about the probe-training entities."""
    claims = world.sample(cfg["train_claims"], rng, cfg["agreement"], world.probe_entities)
    acts = activations(net, world, claims, cfg["layer"])
    return [mean_difference(acts, claims.truth), logistic(acts, claims.truth, **cfg["logistic"])]


def tone_axis(net: Network, world: World, layer: int, standardise: Standardiser, rng: np.random.Generator) -> np.ndarray:
    """Direction along which emphatic and hesitant claims differ, from claims whose tone says nothing about truth."""
    claims = world.sample(2000, rng, agreement=0.5)
    z = standardise(activations(net, world, claims, layer))
    return z[claims.tone > 0].mean(axis=0) - z[claims.tone < 0].mean(axis=0)


def evaluate(net: Network, world: World, cfg: dict, seed: int, predictions: Path) -> dict:
    """AUROC of each probe at each agreement of the test claims, on entities that the probes never saw."""
    probe_cfg = cfg["probe"]
    probes = fit_probes(net, world, probe_cfg, np.random.default_rng([seed, 1]))
    results: dict = {"auroc": {p.name: {} for p in probes}, "tone_cosine": {}}
    rows = []
    for agreement in cfg["evaluation"]["agreements"]:
        claims = world.sample(probe_cfg["eval_claims"], np.random.default_rng([seed, 2]), agreement, world.test_entities)
        acts = activations(net, world, claims, probe_cfg["layer"])
        for probe in probes:
            scores = probe.score(acts)
            results["auroc"][probe.name][str(agreement)] = auroc(scores, claims.truth)
            for i in range(0, len(claims), 5):
                rows.append([probe.name, seed, f"agreement_{agreement}", i, claims.truth[i], int(scores[i] > 0), f"{scores[i]:.4f}"])
    for probe in probes:
        axis = tone_axis(net, world, probe_cfg["layer"], probe.standardise, np.random.default_rng([seed, 3]))
        results["tone_cosine"][probe.name] = cosine(probe.direction, axis)
    with predictions.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["arm", "seed", "split", "index", "label", "prediction", "score"])
        writer.writerows(rows)
    return results
