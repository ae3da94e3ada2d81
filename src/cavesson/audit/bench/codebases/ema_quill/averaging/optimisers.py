import torch

from .registry import OPTIMISERS


@OPTIMISERS.register("sgd")
def sgd(params, lr, momentum=0.0, weight_decay=0.0):
    return torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


@OPTIMISERS.register("adam")
def adam(params, lr, betas=(0.9, 0.999), weight_decay=0.0):
    return torch.optim.Adam(params, lr=lr, betas=tuple(betas), weight_decay=weight_decay)
