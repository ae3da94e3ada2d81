"""A closed world of people, places and values, and the questions that can be asked about it.

Entities are numbered: people first, then places, then values. A question is a row
(entity, first relation, second relation); the symbol STOP as second relation makes it a one-hop question.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Questions(NamedTuple):
    """Questions as rows, and their answers (entity numbers)."""

    rows: np.ndarray
    answers: np.ndarray

    def __add__(self, other: Questions) -> Questions:  # type: ignore[override]
        return Questions(np.vstack([self.rows, other.rows]), np.concatenate([self.answers, other.answers]))


class World:
    """Random functional relations: person -> place and place -> value."""

    def __init__(self, people: int, places: int, values: int, first_relations: int, second_relations: int, held_out: float, seed: int):
        rng = np.random.default_rng(seed)
        self.people, self.places, self.values = people, places, values
        self.n_first, self.n_second = first_relations, second_relations
        self.first = np.stack([people + self.assign(rng, people, places) for _ in range(first_relations)])
        self.second = np.stack([people + places + self.assign(rng, places, values) for _ in range(second_relations)])
        order = rng.permutation(people)
        cut = round(held_out * people)
        self.held_out, self.composed = np.sort(order[:cut]), np.sort(order[cut:])

    @staticmethod
    def assign(rng: np.random.Generator, sources: int, targets: int) -> np.ndarray:
        """A random function that uses all targets equally often (as far as the numbers divide)."""
        return rng.permutation(np.resize(rng.permutation(targets), sources))

    @property
    def entities(self) -> int:
        return self.people + self.places + self.values

    @property
    def relations(self) -> int:
        return self.n_first + self.n_second

    @property
    def stop(self) -> int:
        """The symbol in place of a second relation."""
        return self.relations

    def facts(self) -> Questions:
        """Every one-hop question."""
        rows, answers = [], []
        for r, table in enumerate(self.first):
            rows += [(person, r, self.stop) for person in range(self.people)]
            answers += list(table)
        for s, table in enumerate(self.second):
            rows += [(self.people + place, self.n_first + s, self.stop) for place in range(self.places)]
            answers += list(table)
        return Questions(np.array(rows), np.array(answers))

    def compositions(self, people: np.ndarray) -> Questions:
        """Every two-hop question about the given people."""
        rows, answers = [], []
        for person in people:
            for r in range(self.n_first):
                bridge = self.first[r, person]
                for s in range(self.n_second):
                    rows.append((person, r, self.n_first + s))
                    answers.append(self.second[s, bridge - self.people])
        return Questions(np.array(rows), np.array(answers))
