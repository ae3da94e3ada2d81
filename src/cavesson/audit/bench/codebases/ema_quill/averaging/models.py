import torch
from torch import nn

from .registry import MODELS


@MODELS.register("mlp")
def mlp(dim, hidden, depth, seed):
    torch.manual_seed(seed)
    layers, width = [], dim
    for _ in range(depth):
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, 1), nn.Flatten(0))


@MODELS.register("linear")
def linear(dim, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(dim, 1), nn.Flatten(0))
