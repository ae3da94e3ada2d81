"""opelab: off-policy evaluation on synthetic contextual bandits.

The public interface is re-exported here; everything with a leading underscore may change.
"""

from opelab.environment import Environment, EnvironmentConfig
from opelab.errors import NotFittedError, OpelabError, ShapeError
from opelab.estimators import DirectMethod, DoublyRobust, Estimator, InversePropensity, SelfNormalised
from opelab.logs import LoggedData
from opelab.policies import EpsilonMixture, Policy, SoftmaxPolicy
from opelab.reward_model import RidgeRewardModel
from opelab.study import Study, StudyConfig

__all__ = [
    "DirectMethod",
    "DoublyRobust",
    "Environment",
    "EnvironmentConfig",
    "EpsilonMixture",
    "Estimator",
    "InversePropensity",
    "LoggedData",
    "NotFittedError",
    "OpelabError",
    "Policy",
    "RidgeRewardModel",
    "SelfNormalised",
    "ShapeError",
    "SoftmaxPolicy",
    "Study",
    "StudyConfig",
]
__version__ = "0.3.1"
