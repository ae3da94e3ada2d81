import numpy as np

from SoftmaxModel import SoftmaxModel


class Server(object):
    """
    Base class of servers. A server holds the global model and organizes rounds.
    """

    def __init__(self, clients, config, randomSource):
        self.clients = clients
        self.config = config
        self.randomSource = randomSource
        self.model = SoftmaxModel(config.numFeatures, config.numClasses)

    def selectClients(self):
        """
        @return the clients that take part in this round
        """
        chosen = self.randomSource.choice(len(self.clients), self.config.clientsPerRound, replace=False)
        return [self.clients[index] for index in chosen]

    def aggregate(self, models, sizes):
        """
        @param models  local models
        @param sizes   numbers of samples
        @return        parameters, averaged with weights proportional to sizes
        """
        total = float(sum(sizes))
        parameters = np.zeros_like(self.model.parameters)
        for model, size in zip(models, sizes):
            parameters += model.parameters * (size / total)
        return parameters

    def runRound(self, numSteps):
        raise NotImplementedError("subclasses define what a round is")

    def getName(self):
        raise NotImplementedError("subclasses have names")


class FedAvgServer(Server):
    """
    Federated averaging: clients train for some steps, models are averaged.
    """

    def runRound(self, numSteps):
        participants = self.selectClients()
        models = [client.trainLocally(self.model, numSteps) for client in participants]
        self.model.parameters = self.aggregate(models, [client.getNumSamples() for client in participants])

    def getName(self):
        return "fedavg"


class ScaffoldServer(Server):
    """
    Averaging with control variates: every client gets the difference between the mean gradient of all
    clients and its own, both at the global model, as a correction of its steps.
    """

    def runRound(self, numSteps):
        participants = self.selectClients()
        gradients = [client.fullGradient(self.model) for client in participants]
        sizes = [client.getNumSamples() for client in participants]
        mean = sum(g * size for g, size in zip(gradients, sizes)) / float(sum(sizes))
        models = [client.trainLocally(self.model, numSteps, mean - own) for client, own in zip(participants, gradients)]
        self.model.parameters = self.aggregate(models, sizes)

    def getName(self):
        return "scaffold"
