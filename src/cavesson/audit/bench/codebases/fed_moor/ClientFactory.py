import numpy as np

from Client import Client


class ClientFactory(object):
    """
    Makes the clients of one of two kinds of population.
    """

    KINDS = ("uniform", "skewed")

    def __init__(self, population, config, seed):
        self.population = population
        self.config = config
        self.seed = seed

    def create(self, kind):
        """
        @param kind  "uniform": all clients have the same distribution;
                     "skewed": every client has its own proportions of labels
        @return      a list of clients
        """
        if kind not in self.KINDS:
            raise ValueError("unknown kind of population: %s" % kind)
        randomSource = np.random.default_rng([self.seed, 7])
        clients = []
        for identifier in range(self.config.numClients):
            count = self._drawCount(randomSource)
            if kind == "uniform":
                features, labels = self.population.drawSamples(count)
            else:
                proportions = randomSource.dirichlet([self.config.labelConcentration] * self.config.numClasses)
                features, labels = self.population.drawByProportions(count, proportions)
            own = np.random.default_rng([self.seed, 8, identifier])
            clients.append(Client(identifier, features, labels, self.config, own))
        return clients

    def _drawCount(self, randomSource):
        # between half and one and a half times the average
        low, high = self.config.samplesPerClient // 2, 3 * self.config.samplesPerClient // 2
        return int(randomSource.integers(low, high + 1))
