# Environments of the maximization-bias study.
"""Episodic environments with a `reset` / `step` interface.

Observations are integers, and `legal_actions` says how many actions an observation offers.
"""

import collections

import numpy as np

TimeStep = collections.namedtuple('TimeStep', ['observation', 'reward', 'done'])


class Environment:
  """Interface of all environments."""

  def reset(self):
    """Starts an episode.

    Returns:
      The first `TimeStep`; its reward is 0.
    """
    raise NotImplementedError

  def step(self, action):
    """Takes an action.

    Args:
      action: An int below `legal_actions(observation)`.

    Returns:
      A `TimeStep`.
    """
    raise NotImplementedError

  def legal_actions(self, observation):
    """Returns the number of actions at an observation."""
    raise NotImplementedError

  @property
  def num_observations(self):
    """Returns the number of non-terminal observations."""
    raise NotImplementedError


class Fork(Environment):
  """Two states, of which the second one is a trap that looks attractive.

  At the start (observation 0) action `RIGHT` ends the episode with reward 0 and
  action `LEFT` leads to observation 1. There, each of `num_actions` actions ends
  the episode with a normally distributed reward whose mean is below zero.
  """

  RIGHT = 0
  LEFT = 1

  def __init__(self, num_actions, reward_mean, reward_stddev, rng):
    """Initializes the environment.

    Args:
      num_actions: Number of actions at observation 1.
      reward_mean: Mean of the rewards at observation 1.
      reward_stddev: Their standard deviation.
      rng: A `numpy.random.Generator` for the rewards.
    """
    if num_actions < 1:
      raise ValueError('num_actions must be positive, got %d' % num_actions)
    self._num_actions = num_actions
    self._mean = reward_mean
    self._stddev = reward_stddev
    self._rng = rng
    self._observation = None

  def reset(self):
    self._observation = 0
    return TimeStep(0, 0.0, False)

  def step(self, action):
    assert self._observation is not None, 'call reset first'
    if self._observation == 0:
      if action == self.RIGHT:
        self._observation = None
        return TimeStep(-1, 0.0, True)
      self._observation = 1
      return TimeStep(1, 0.0, False)
    self._observation = None
    reward = self._mean + self._stddev * self._rng.standard_normal()
    return TimeStep(-1, reward, True)

  def legal_actions(self, observation):
    return 2 if observation == 0 else self._num_actions

  @property
  def num_observations(self):
    return 2


class Corridor(Environment):
  """A row of cells with a noisy side door in every cell.

  Action 0 goes on to the next cell at a cost; the last cell pays a bonus. Any
  other action leaves through a side door, with a noisy reward. Going on to the
  end is best.
  """

  def __init__(self, length, num_doors, step_cost, bonus, door_stddev, rng):
    """Initializes the environment.

    Args:
      length: Number of cells.
      num_doors: Side doors of every cell.
      step_cost: Cost of going on.
      bonus: Reward for going on from the last cell.
      door_stddev: Standard deviation of a side door's reward; its mean is 0.
      rng: A `numpy.random.Generator` for the rewards.
    """
    self._length = length
    self._num_doors = num_doors
    self._cost = step_cost
    self._bonus = bonus
    self._stddev = door_stddev
    self._rng = rng
    self._cell = None

  def reset(self):
    self._cell = 0
    return TimeStep(0, 0.0, False)

  def step(self, action):
    assert self._cell is not None, 'call reset first'
    if action > 0:
      self._cell = None
      return TimeStep(-1, self._stddev * self._rng.standard_normal(), True)
    self._cell += 1
    if self._cell == self._length:
      self._cell = None
      return TimeStep(-1, self._bonus - self._cost, True)
    return TimeStep(self._cell, -self._cost, False)

  def legal_actions(self, observation):
    del observation  # all cells are alike
    return 1 + self._num_doors

  @property
  def num_observations(self):
    return self._length


def true_start_value(settings):
  """Returns the optimal value of the start of a `Corridor`."""
  go_on = settings['bonus'] - settings['length'] * settings['step_cost']
  return float(np.maximum(go_on, 0.0))
