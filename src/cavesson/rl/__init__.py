"""Reinforcement learning: rollouts of a policy, rewards, and training on them."""
