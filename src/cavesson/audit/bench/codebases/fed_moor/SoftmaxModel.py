import numpy as np


class SoftmaxModel(object):
    """
    Multinomial logistic regression. Parameters are one matrix; the last row is the intercept.
    """

    def __init__(self, numFeatures, numClasses, parameters=None):
        self.numFeatures = numFeatures
        self.numClasses = numClasses
        if parameters is None:
            parameters = np.zeros((numFeatures + 1, numClasses))
        self.parameters = parameters

    def copy(self):
        """
        @return a model that shares nothing with this one
        """
        return SoftmaxModel(self.numFeatures, self.numClasses, self.parameters.copy())

    @staticmethod
    def withIntercept(features):
        return np.hstack([features, np.ones((len(features), 1))])

    def probabilities(self, features):
        """
        @param features  array, one row per sample
        @return          array of probabilities, one column per class
        """
        scores = self.withIntercept(features) @ self.parameters
        scores = scores - scores.max(axis=1, keepdims=True)
        exponentials = np.exp(scores)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def gradient(self, features, labels, weightDecay):
        """
        @return the gradient of the mean loss with an L2 term
        """
        residual = self.probabilities(features)
        residual[np.arange(len(labels)), labels] -= 1.0
        return self.withIntercept(features).T @ residual / len(labels) + weightDecay * self.parameters

    def loss(self, features, labels):
        """
        @return the mean cross-entropy
        """
        chosen = self.probabilities(features)[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    def accuracy(self, features, labels):
        """
        @return the share of samples whose most probable class is the label
        """
        return float((self.probabilities(features).argmax(axis=1) == labels).mean())
