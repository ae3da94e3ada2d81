"""The study: one network per way of training it."""

import copy
from dataclasses import dataclass

import torch

from callbacks import LossHistory, StopOnNan, WorstGroupHistory
from datasets import BackgroundDataset
from modules import Classifier
from samplers import BalancedSampler, UniformSampler
from training import GroupEvaluator, Trainer


@dataclass
class StudyConfig:
    """Numbers of the study."""

    train_size: int = 3200
    heldout_size: int = 1500
    test_size: int = 4000
    agreement: float = 0.97
    width: int = 48
    steps: int = 350
    head_steps: int = 200
    batch_size: int = 64
    learning_rate: float = 2e-3
    head_learning_rate: float = 1e-2
    weight_decay: float = 1e-3


class Study:
    """
    Runs the study for one seed.

    :param config: its numbers
    :param seed: of everything random
    """

    def __init__(self, config: StudyConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        collected = BackgroundDataset(config.train_size + config.heldout_size, config.agreement, self._generator(1))
        self.train_set = collected.subset(slice(None, config.train_size))
        self.heldout_set = collected.subset(slice(config.train_size, None))
        self.test_set = BackgroundDataset(config.test_size, 0.5, self._generator(3))
        self.evaluator = GroupEvaluator(self.test_set)
        self.history = WorstGroupHistory(self.evaluator, every=25)

    def run(self) -> dict:
        """Accuracies by way of training and group."""
        plain = self._train_network(UniformSampler, callbacks=[self.history])
        networks = {
            "plain": plain,
            "balanced": self._train_network(BalancedSampler),
            "head_balanced": self._retrain_head(plain, BalancedSampler),
            "head_uniform": self._retrain_head(plain, UniformSampler),
        }
        accuracy = {name: self.evaluator.evaluate(network) for name, network in networks.items()}
        return {
            "accuracy": accuracy,
            "minority": self._minority_counts(),
            "final_loss": self.losses,
        }

    losses: dict[str, float]

    def _train_network(self, sampler_class, callbacks=()) -> Classifier:
        config = self.config
        torch.manual_seed(self.seed)
        network = Classifier(self.train_set.features.shape[1], config.width)
        history = LossHistory()
        Trainer(
            network,
            sampler_class(self.train_set, config.batch_size, self._generator(4)),
            config.learning_rate,
            config.weight_decay,
            callbacks=[history, StopOnNan(), *callbacks],
        ).fit(config.steps)
        self._note_loss(sampler_class.__name__, history)
        return network

    def _retrain_head(self, network: Classifier, sampler_class) -> Classifier:
        config = self.config
        heldout = self.heldout_set
        copied = copy.deepcopy(network)
        copied.freeze_body()
        copied.reset_head()
        history = LossHistory()
        Trainer(
            copied,
            sampler_class(heldout, config.batch_size, self._generator(5)),
            config.head_learning_rate,
            config.weight_decay,
            callbacks=[history, StopOnNan()],
        ).fit(config.head_steps)
        self._note_loss("head " + sampler_class.__name__, history)
        return copied

    def _note_loss(self, name: str, history: LossHistory) -> None:
        if not hasattr(self, "losses"):
            self.losses = {}
        self.losses[name] = history.values[-1]

    def _minority_counts(self) -> dict[str, int]:
        return {
            name: int((data.labels != data.places).sum())
            for name, data in (("train", self.train_set), ("heldout", self.heldout_set))
        }

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator().manual_seed(100 * self.seed + stream)
