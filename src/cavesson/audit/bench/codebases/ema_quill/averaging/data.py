import math

import torch

from .registry import DATASETS


@DATASETS.register("teacher")
class TeacherRegression:
    """Targets of a random two-layer network plus label noise."""

    def __init__(self, dim, hidden, train, test, label_noise, seed):
        g = torch.Generator().manual_seed(seed)
        w1 = torch.randn(dim, hidden, generator=g) / math.sqrt(dim)
        w2 = torch.randn(hidden, 1, generator=g) / math.sqrt(hidden)

        def clean(x):
            return (torch.tanh(2 * x @ w1) @ w2).squeeze(1)

        self.x_train = torch.randn(train, dim, generator=g)
        self.x_test = torch.randn(test, dim, generator=g)
        y_train, y_test = clean(self.x_train), clean(self.x_test)
        self.mean, self.std = y_train.mean(), y_train.std()
        y_train = (y_train - self.mean) / self.std
        self.y_test = (y_test - self.mean) / self.std
        self.y_train = y_train + label_noise * torch.randn(train, generator=g)
        self.dim = dim

    def batches(self, size, steps, seed):
        """Endless reshuffled passes over the training set, cut off after `steps` batches."""
        g = torch.Generator().manual_seed(seed)
        done = 0
        while True:
            order = torch.randperm(len(self.x_train), generator=g)
            for start in range(0, len(order) - size + 1, size):
                if done == steps:
                    return
                idx = order[start : start + size]
                yield self.x_train[idx], self.y_train[idx]
                done += 1


@DATASETS.register("linear")
class LinearRegression(TeacherRegression):
    """Linear targets with the same interface; for sanity checks (configs/check.yaml)."""

    def __init__(self, dim, train, test, label_noise, seed, hidden=0):
        g = torch.Generator().manual_seed(seed)
        w = torch.randn(dim, generator=g) / math.sqrt(dim)
        self.x_train = torch.randn(train, dim, generator=g)
        self.x_test = torch.randn(test, dim, generator=g)
        self.mean, self.std = torch.tensor(0.0), torch.tensor(1.0)
        self.y_test = self.x_test @ w
        self.y_train = self.x_train @ w + label_noise * torch.randn(train, generator=g)
        self.dim = dim
