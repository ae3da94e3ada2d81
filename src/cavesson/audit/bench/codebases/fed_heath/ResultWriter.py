import json
import os


class ResultWriter(object):
    """
    Writes everything that a simulation leaves behind.
    """

    COLORS = {"fedavg": "#b2182b", "scaffold": "#2166ac"}

    def __init__(self, folder):
        self.folder = folder
        if not os.path.exists(folder):
            os.makedirs(folder)

    def writeResults(self, results):
        with open(os.path.join(self.folder, "results.json"), "w") as stream:
            json.dump(results, stream, indent=4)
            stream.write("\n")

    def writeCurves(self, curves):
        with open(os.path.join(self.folder, "curves.csv"), "w") as stream:
            stream.write("population,method,localSteps,round,accuracy\n")
            for kind, name, numSteps, roundNumber, accuracy in curves:
                stream.write("%s,%s,%d,%d,%.4f\n" % (kind, name, numSteps, roundNumber, accuracy))

    def writeFigure(self, curves):
        """
        Accuracy over rounds, skewed population, largest number of local steps.
        """
        largest = max(curve[2] for curve in curves)
        lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="400" height="216" font-size="11">']
        for position, (name, color) in enumerate(sorted(self.COLORS.items())):
            points = [(c[3], c[4]) for c in curves if c[0] == "skewed" and c[1] == name and c[2] == largest]
            last = points[-1][0]
            path = " ".join("%.1f,%.1f" % (40 + 340.0 * r / last, 200 - 180 * a) for r, a in points)
            lines.append('  <polyline points="%s" fill="none" stroke="%s"/>' % (path, color))
            lines.append('  <text x="%d" y="14" fill="%s">%s</text>' % (60 + 100 * position, color, name))
        lines.append('  <line x1="40" y1="200" x2="380" y2="200" stroke="black"/>')
        lines.append('  <text x="34" y="204" text-anchor="end">0</text>')
        lines.append('  <text x="34" y="24" text-anchor="end">1</text>')
        lines.append('</svg>')
        with open(os.path.join(self.folder, "accuracy.svg"), "w") as stream:
            stream.write("\n".join(lines) + "\n")
