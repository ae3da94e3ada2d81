import numpy as np

from calib.policy import Adam, Policy, log_softmax


def pretrain(policy: Policy, split, spec, rng) -> Policy:
    """Maximum likelihood on the recorded answers."""
    adam = Adam(policy.parameters(), spec.learning_rate)
    for _ in range(spec.steps):
        x, y = split.batch(spec.batch_size, rng)
        hs = policy.trace(x)
        d = np.exp(log_softmax(hs[-1]))
        d[np.arange(len(y)), y] -= 1.0
        adam.update(policy.backward(hs, d / len(y)))
    return policy


def finetune(policy: Policy, reference: Policy, split, spec, kl_weight: float, rng) -> Policy:
    """Maximise the expected reward minus kl_weight * KL(policy || reference).

    The reward of an answer is 1 if it is the recorded one and 0 otherwise. With few answers the expectation over
    the policy is a sum, so the exact policy gradient is used in place of sampled rollouts.
    """
    adam = Adam(policy.parameters(), spec.learning_rate)
    for _ in range(spec.steps):
        x, y = split.batch(spec.batch_size, rng)
        hs = policy.trace(x)
        logp = log_softmax(hs[-1])
        p = np.exp(logp)
        reward = np.zeros_like(p)
        reward[np.arange(len(y)), y] = 1.0
        if kl_weight:
            drift = logp - log_softmax(reference.logits(x))
            reward -= kl_weight * drift
        advantage = reward - (p * reward).sum(axis=1, keepdims=True)
        adam.update(policy.backward(hs, -p * advantage / len(y)))
    return policy
