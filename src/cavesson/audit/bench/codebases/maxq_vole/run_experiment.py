# Runs the study for one seed.
"""Usage: python run_experiment.py --seed=0 --out=results/seed_0"""

import argparse
import json
import os

import numpy as np

import agents
import environments
import settings
import svg_plot


def run_episode(env, agent):
  """Runs one episode with learning.

  Args:
    env: An `Environment`.
    agent: A `TabularAgent`.

  Returns:
    A pair of the first action and the return.
  """
  timestep = env.reset()
  first_action, total = None, 0.0
  while not timestep.done:
    observation = timestep.observation
    action = agent.act(observation)
    if first_action is None:
      first_action = action
    timestep = env.step(action)
    total += timestep.reward
    agent.update(observation, action, timestep)
  return first_action, total


def make_agent(name, env, rng):
  """Builds an agent with the study's hyperparameters."""
  return agents.AGENTS[name](
      env,
      step_size=settings.STEP_SIZE,
      epsilon=settings.EPSILON,
      discount=settings.DISCOUNT,
      rng=rng)


def fork_study(seed):
  """Runs every agent on forks of every width.

  Args:
    seed: An int.

  Returns:
    A dict from agent to number of actions to an array of shape [runs, episodes]
    that says whether the first action was LEFT.
  """
  outcome = {}
  for a, name in enumerate(agents.AGENTS):
    outcome[name] = {}
    for width in settings.FORK_WIDTHS:
      left = np.zeros((settings.RUNS, settings.EPISODES), dtype=bool)
      for run in range(settings.RUNS):
        rng = np.random.default_rng([seed, a, width, run])
        env = environments.Fork(width, settings.REWARD_MEAN, settings.REWARD_STDDEV, rng)
        agent = make_agent(name, env, rng)
        for episode in range(settings.EPISODES):
          action, _ = run_episode(env, agent)
          left[run, episode] = action == environments.Fork.LEFT
      outcome[name][width] = left
  return outcome


def corridor_study(seed):
  """Measures how far agents overestimate the start of the corridor.

  Args:
    seed: An int.

  Returns:
    A dict from agent to the mean of (believed value minus optimal value).
  """
  outcome = {}
  true_value = environments.true_start_value(settings.CORRIDOR)
  for a, name in enumerate(agents.AGENTS):
    errors = []
    for run in range(settings.CORRIDOR_RUNS):
      rng = np.random.default_rng([seed, 100 + a, run])
      env = environments.Corridor(rng=rng, **settings.CORRIDOR)
      agent = make_agent(name, env, rng)
      for _ in range(settings.CORRIDOR_EPISODES):
        run_episode(env, agent)
      errors.append(agent.start_value() - true_value)
    outcome[name] = float(np.mean(errors))
  return outcome


def summarize(fork):
  """Turns the raw choices into the numbers of the paper."""
  early = slice(0, settings.EARLY)
  late = slice(-settings.EARLY, None)
  results = {'left_early': {}, 'left_late': {}, 'left_at_start': {}}
  for name, widths in fork.items():
    results['left_early'][name] = {str(w): float(x[:, early].mean()) for w, x in widths.items()}
    results['left_late'][name] = {str(w): float(x[:, late].mean()) for w, x in widths.items()}
    # everybody tosses a coin in the first episode
    results['left_at_start'][name] = {str(w): float(x[:, 0].mean()) for w, x in widths.items()}
  results['floor'] = settings.EPSILON / 2
  return results


def write_curves(fork, path):
  """Writes the share of LEFT by block of episodes."""
  block = settings.EPISODES // 20
  with open(path, 'w') as f:
    f.write('agent,actions,episode,left\n')
    for name, widths in fork.items():
      for width, left in widths.items():
        for start in range(0, settings.EPISODES, block):
          f.write('%s,%d,%d,%.4f\n' % (name, width, start, left[:, start:start + block].mean()))


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--seed', type=int, required=True)
  parser.add_argument('--out', required=True)
  flags = parser.parse_args()

  fork = fork_study(flags.seed)
  results = summarize(fork)
  results['overestimation'] = corridor_study(flags.seed)

  if not os.path.isdir(flags.out):
    os.makedirs(flags.out)
  with open(os.path.join(flags.out, 'results.json'), 'w') as f:
    json.dump(results, f, indent=2, sort_keys=True)
    f.write('\n')
  write_curves(fork, os.path.join(flags.out, 'curves.csv'))
  widest = max(settings.FORK_WIDTHS)
  svg_plot.lines(
      {name: widths[widest].mean(axis=0) for name, widths in fork.items()},
      floor=results['floor'],
      path=os.path.join(flags.out, 'left.svg'))

  for name in agents.AGENTS:
    print('%-15s left, first %d episodes: %s   overestimation: %+.3f' % (
        name, settings.EARLY,
        '  '.join('%s actions %.3f' % kv for kv in results['left_early'][name].items()),
        results['overestimation'][name]))


if __name__ == '__main__':
  main()
