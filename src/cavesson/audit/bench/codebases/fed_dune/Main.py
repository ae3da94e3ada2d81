import argparse

from ResultWriter import ResultWriter
from Simulation import Simulation
from SimulationConfig import SimulationConfig


class Main(object):
    """ Entry point. """

    @staticmethod
    def run():
        parser = argparse.ArgumentParser()
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--out", default="out")
        arguments = parser.parse_args()

        simulation = Simulation(SimulationConfig(), arguments.seed)
        results = simulation.run()

        writer = ResultWriter(arguments.out)
        writer.writeResults(results)
        writer.writeCurves(simulation.curves)
        writer.writeFigure(simulation.curves)

        for kind, methods in results["accuracy"].items():
            print("%s (central: %.3f)" % (kind, results["central"][kind]))
            for name, accuracies in methods.items():
                print("    %-10s" % name + "   ".join("%s steps: %.3f" % item for item in accuracies.items()))


if __name__ == "__main__":
    Main.run()
