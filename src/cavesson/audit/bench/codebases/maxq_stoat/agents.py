# Tabular agents.
"""Q-learning, Double Q-learning and Expected Sarsa with epsilon-greedy behavior."""

import numpy as np


def random_argmax(values, rng):
  """Returns the index of a maximum, ties broken at random."""
  return int(rng.choice(np.flatnonzero(values == values.max())))


class TabularAgent:
  """Base class: behaves epsilon-greedily with respect to `values`."""

  def __init__(self, env, step_size, epsilon, discount, rng):
    """Initializes the agent.

    Args:
      env: The environment, asked only for the number of its actions.
      step_size: Step size of the updates.
      epsilon: Probability of a random action.
      discount: Discount factor.
      rng: A `numpy.random.Generator`.
    """
    self._step_size = step_size
    self._epsilon = epsilon
    self._discount = discount
    self._rng = rng
    self._sizes = [env.legal_actions(o) for o in range(env.num_observations)]

  def _new_table(self):
    return [np.zeros(size) for size in self._sizes]

  def values(self, observation):
    """Returns the action values that the agent behaves by."""
    raise NotImplementedError

  def update(self, observation, action, timestep):
    """Learns from one transition."""
    raise NotImplementedError

  def act(self, observation):
    """Returns an epsilon-greedy action."""
    if self._rng.random() < self._epsilon:
      return int(self._rng.integers(self._sizes[observation]))
    return random_argmax(self.values(observation), self._rng)

  def start_value(self):
    """Returns what the agent believes the start to be worth."""
    return float(self.values(0).max())


class QLearning(TabularAgent):
  """Watkins's Q-learning."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._q = self._new_table()

  def values(self, observation):
    return self._q[observation]

  def update(self, observation, action, timestep):
    target = timestep.reward
    if not timestep.done:
      target += self._discount * self._q[timestep.observation].max()
    self._q[observation][action] += self._step_size * (target - self._q[observation][action])


class DoubleQLearning(TabularAgent):
  """Van Hasselt's Double Q-learning: one table chooses, the other one evaluates."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._tables = (self._new_table(), self._new_table())

  def values(self, observation):
    first, second = self._tables
    return (first[observation] + second[observation]) / 2

  def update(self, observation, action, timestep):
    side = int(self._rng.integers(2))
    mine, other = self._tables[side], self._tables[1 - side]
    target = timestep.reward
    if not timestep.done:
      best = random_argmax(other[timestep.observation], self._rng)
      target += self._discount * other[timestep.observation][best]
    mine[observation][action] += self._step_size * (target - mine[observation][action])


class ExpectedSarsa(TabularAgent):
  """Expected Sarsa: bootstraps from the mean over the behavior policy."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._q = self._new_table()

  def values(self, observation):
    return self._q[observation]

  def update(self, observation, action, timestep):
    target = timestep.reward
    if not timestep.done:
      q = self._q[timestep.observation]
      expected = (1 - self._epsilon) * q.max() + self._epsilon * q.mean()
      target += self._discount * expected
    self._q[observation][action] += self._step_size * (target - self._q[observation][action])


AGENTS = {
    'q': QLearning,
    'double_q': DoubleQLearning,
    'expected_sarsa': ExpectedSarsa,
}
