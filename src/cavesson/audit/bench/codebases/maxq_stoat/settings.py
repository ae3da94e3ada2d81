# All numbers of the study.
"""Constants. Names follow the paper."""

# Agents.
STEP_SIZE = 0.12
EPSILON = 0.1
DISCOUNT = 1.0

# Fork.
FORK_WIDTHS = (2, 10)
REWARD_MEAN = -0.1
REWARD_STDDEV = 1.0
RUNS = 100
EPISODES = 200
EARLY = 100

# Corridor.
CORRIDOR = {
    'length': 4,
    'num_doors': 6,
    'step_cost': 0.05,
    'bonus': 0.2,
    'door_stddev': 1.0,
}
CORRIDOR_RUNS = 20
CORRIDOR_EPISODES = 600
