import numpy as np


class Population(object):
    """
    The true distribution of features and labels, from which clients get their shares.
    """

    def __init__(self, config, randomSource):
        """
        @param config        a SimulationConfig
        @param randomSource  a numpy Generator
        """
        self.config = config
        self.randomSource = randomSource
        self.trueWeights = 1.5 * randomSource.normal(size=(config.numFeatures, config.numClasses))
        self.trueWeights[0] = 0.0

    def drawLabels(self, features):
        """
        @param features  array, one row per sample
        @return          labels; some of them are replaced by random ones
        """
        scores = features @ self.trueWeights
        labels = scores.argmax(axis=1)
        noisy = self.randomSource.random(len(labels)) < self.config.labelNoise
        labels[noisy] = self.randomSource.integers(self.config.numClasses, size=int(noisy.sum()))
        return labels

    def drawSamples(self, count, shift=None):
        """
        @param count  number of samples
        @param shift  mean of the features, zero if None
        @return       features and labels
        """
        features = self.randomSource.normal(size=(count, self.config.numFeatures))
        if shift is not None:
            features = features + shift
        return features, self.drawLabels(features)

    def drawByProportions(self, count, proportions):
        """
        Draws samples whose labels follow given proportions, by rejection.

        @param count        number of samples
        @param proportions  share of each label
        @return             features and labels
        """
        wanted = self.randomSource.multinomial(count, proportions)
        pieces, labelPieces = [], []
        remaining = wanted.copy()
        while remaining.sum() > 0:
            features, labels = self.drawSamples(400)
            for label in range(self.config.numClasses):
                rows = np.flatnonzero(labels == label)[:remaining[label]]
                pieces.append(features[rows])
                labelPieces.append(labels[rows])
                remaining[label] -= len(rows)
        return np.concatenate(pieces), np.concatenate(labelPieces)
