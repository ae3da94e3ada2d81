"""Training and evaluation."""

from collections.abc import Sequence

import torch
from torch import nn

from callbacks import Callback
from samplers import BatchSampler


class Trainer:
    """
    Trains whatever part of a model requires gradients.

    :param model: changed in place
    :param sampler: which samples make up a batch
    :param learning_rate: of Adam
    :param weight_decay: decoupled
    :param callbacks: called in this order
    """

    def __init__(
        self,
        model: nn.Module,
        sampler: BatchSampler,
        learning_rate: float,
        weight_decay: float = 0.0,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model = model
        self.sampler = sampler
        self.callbacks = list(callbacks)
        self.loss_function = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=learning_rate,
            weight_decay=weight_decay,
        )

    def fit(self, steps: int) -> "Trainer":
        """Run a number of steps."""
        for callback in self.callbacks:
            callback.on_start(self)
        self.model.train()
        for step in range(steps):
            loss = self._step()
            for callback in self.callbacks:
                callback.on_step(self, step, loss)
        for callback in self.callbacks:
            callback.on_end(self)
        return self

    def _step(self) -> float:
        x, y = self.sampler.dataset[self.sampler.next_batch()]
        loss = self.loss_function(self.model(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()


class GroupEvaluator:
    """
    Accuracy of each group of a dataset.

    :param dataset: should have enough samples of each group
    """

    NAMES = ("class0_place0", "class0_place1", "class1_place0", "class1_place1")

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracies by group, their minimum (`worst`) and the accuracy over all samples (`mean`)."""
        training = model.training
        model.eval()
        correct = (model(self.dataset.features).argmax(dim=1) == self.dataset.labels).float()
        model.train(training)
        by_group = {name: correct[self.dataset.groups == g].mean().item() for g, name in enumerate(self.NAMES)}
        return {**by_group, "worst": min(by_group.values()), "mean": correct.mean().item()}
