class Client(object):
    """
    Holds a share of the data and trains on it. Data never leave a client.
    """

    def __init__(self, identifier, features, labels, config, randomSource):
        self.identifier = identifier
        self._features = features
        self._labels = labels
        self._config = config
        self._randomSource = randomSource

    def getNumSamples(self):
        """
        @return the number of samples of this client
        """
        return len(self._labels)

    def getLabelCounts(self):
        """
        @return the number of samples of every class, for the report only
        """
        return [int((self._labels == label).sum()) for label in range(self._config.numClasses)]

    def trainLocally(self, globalModel, numSteps, correction=None):
        """
        Runs stochastic gradient descent from the global model.

        @param globalModel  the model of the server, which is not changed
        @param numSteps     number of steps
        @param correction   added to every gradient, or None
        @return             the local model
        """
        model = globalModel.copy()
        stepSize = self._config.localLearningRate / max(1.0, numSteps / 5.0)
        for _ in range(numSteps):
            rows = self._randomSource.choice(len(self._labels), self._config.batchSize, replace=False)
            gradient = model.gradient(self._features[rows], self._labels[rows], self._config.weightDecay)
            if correction is not None:
                gradient = gradient + correction
            model.parameters = model.parameters - stepSize * gradient
        return model

    def fullGradient(self, model):
        """
        @return the gradient on all samples of this client
        """
        return model.gradient(self._features, self._labels, self._config.weightDecay)
