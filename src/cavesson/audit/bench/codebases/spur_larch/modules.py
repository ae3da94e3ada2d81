"""The network, in two parts."""

import torch
from torch import nn


class Body(nn.Module):
    """Everything below the last layer."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inputs, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Classifier(nn.Module):
    """A body with a linear head."""

    def __init__(self, inputs: int, width: int, classes: int = 2) -> None:
        super().__init__()
        self.body = Body(inputs, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))

    def freeze_body(self) -> None:
        """From now on only the head is trained."""
        for parameter in self.body.parameters():
            parameter.requires_grad_(False)

    def reset_head(self) -> None:
        """Forget what the head has learnt."""
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
