class SimulationConfig(object):
    """
    All settings of a simulation.

    @since 1.2 settings are attributes instead of a dictionary
    """

    def __init__(self):
        # population
        self.numClients = 20
        self.samplesPerClient = 80
        self.numFeatures = 10
        self.numClasses = 5
        self.featureShift = 1.5
        self.labelConcentration = 0.1
        # federated training
        self.numRounds = 30
        self.localStepsOptions = [2, 10, 50]
        self.localLearningRate = 0.5
        self.batchSize = 10
        self.clientsPerRound = 20
        self.weightDecay = 0.001
        # measurement
        self.numTestSamples = 2000
        self.centralSteps = 1500
        self.labelNoise = 0.1

    def validate(self):
        """
        @throws ValueError if a setting makes no sense
        """
        if self.clientsPerRound > self.numClients:
            raise ValueError("clientsPerRound must not exceed numClients")
        if self.batchSize > self.samplesPerClient:
            raise ValueError("batchSize must not exceed samplesPerClient")
        if min(self.localStepsOptions) < 1:
            raise ValueError("localStepsOptions must be positive")

    def toDictionary(self):
        """
        @return the settings as a dictionary, for the log
        """
        return dict(self.__dict__)
