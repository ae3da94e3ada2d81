import numpy as np

from ClientFactory import ClientFactory
from Population import Population
from Server import FedAvgServer, ScaffoldServer
from SoftmaxModel import SoftmaxModel


class Simulation(object):
    """
    Runs all combinations of population, method and number of local steps for one seed.
    """

    SERVERS = (FedAvgServer, ScaffoldServer)

    def __init__(self, config, seed):
        config.validate()
        self.config = config
        self.seed = seed
        self.population = Population(config, np.random.default_rng([seed, 1]))
        self.testFeatures, self.testLabels = self.population.drawSamples(config.numTestSamples)
        self.results = {"accuracy": {}, "loss": {}, "central": {}, "labelsPerClient": {}}
        self.curves = []

    def run(self):
        """
        @return the results as nested dictionaries
        """
        factory = ClientFactory(self.population, self.config, self.seed)
        for kind in ClientFactory.KINDS:
            clients = factory.create(kind)
            self.results["labelsPerClient"][kind] = self._labelsPerClient(clients)
            self.results["central"][kind] = self._trainCentrally(clients)
            self.results["accuracy"][kind] = {}
            self.results["loss"][kind] = {}
            for serverClass in self.SERVERS:
                self._runServer(kind, clients, serverClass)
        return self.results

    def _runServer(self, kind, clients, serverClass):
        accuracies, losses = {}, {}
        name = None
        for numSteps in self.config.localStepsOptions:
            server = serverClass(clients, self.config, np.random.default_rng([self.seed, 9]))
            name = server.getName()
            for roundNumber in range(1, self.config.numRounds + 1):
                server.runRound(numSteps)
                if roundNumber % 5 == 0:
                    accuracy = server.model.accuracy(self.testFeatures, self.testLabels)
                    self.curves.append((kind, name, numSteps, roundNumber, accuracy))
            accuracies[str(numSteps)] = server.model.accuracy(self.testFeatures, self.testLabels)
            losses[str(numSteps)] = server.model.loss(self.testFeatures, self.testLabels)
        self.results["accuracy"][kind][name] = accuracies
        self.results["loss"][kind][name] = losses

    def _trainCentrally(self, clients):
        # all data in one place
        features = np.concatenate([client._features for client in clients])
        labels = np.concatenate([client._labels for client in clients])
        model = SoftmaxModel(self.config.numFeatures, self.config.numClasses)
        for _ in range(self.config.centralSteps // 5):
            gradient = model.gradient(features, labels, self.config.weightDecay)
            model.parameters = model.parameters - 5 * self.config.localLearningRate * gradient
        return model.accuracy(self.testFeatures, self.testLabels)

    def _labelsPerClient(self, clients):
        # mean share of a client's most frequent label
        shares = [max(client.getLabelCounts()) / float(client.getNumSamples()) for client in clients]
        return float(np.mean(shares))
