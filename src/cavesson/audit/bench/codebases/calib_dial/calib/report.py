import csv

import numpy as np

from calib.policy import log_softmax

PALETTE = {"base": "#444444", "reward": "#d7263d", "reward+kl": "#1b998b", "reward, scaled": "#f46036"}


def write_predictions(path, seed, logits_by_arm, y):
    """Confidence and answer on every eighth test question."""
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["arm", "seed", "split", "index", "label", "prediction", "score"])
        for arm, logits in logits_by_arm.items():
            confidence = np.exp(log_softmax(logits)).max(axis=1)
            for i in range(0, len(y), 8):
                writer.writerow([arm, seed, "test", i, int(y[i]), int(logits[i].argmax()), f"{confidence[i]:.4f}"])


def reliability_diagram(path, curves):
    """curves: {arm: [(confidence, accuracy, share)]}; the area of a dot is its share of the questions."""
    size, margin = 300, 40

    def at(value):
        return margin + value * (size - 2 * margin)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size + 90}" height="{size}" font-family="sans-serif" font-size="10">',
        f'<rect width="{size + 90}" height="{size}" fill="white"/>',
        f'<rect x="{margin}" y="{margin}" width="{size - 2 * margin}" height="{size - 2 * margin}" fill="none" stroke="#999"/>',
        f'<line x1="{at(0)}" y1="{size - at(0)}" x2="{at(1)}" y2="{size - at(1)}" stroke="#bbb" stroke-dasharray="4 3"/>',
        f'<text x="{size / 2}" y="{size - 10}" text-anchor="middle">confidence</text>',
        f'<text x="12" y="{size / 2}" transform="rotate(-90 12 {size / 2})" text-anchor="middle">accuracy</text>',
    ]
    for tick in (0.0, 0.5, 1.0):
        lines.append(f'<text x="{at(tick)}" y="{size - margin + 14}" text-anchor="middle">{tick}</text>')
        lines.append(f'<text x="{margin - 5}" y="{size - at(tick) + 4}" text-anchor="end">{tick}</text>')
    for row, (arm, points) in enumerate(curves.items()):
        path_points = " ".join(f"{at(c):.1f},{size - at(a):.1f}" for c, a, _ in points)
        lines.append(f'<polyline points="{path_points}" fill="none" stroke="{PALETTE[arm]}"/>')
        for c, a, share in points:
            lines.append(f'<circle cx="{at(c):.1f}" cy="{size - at(a):.1f}" r="{1.5 + 9 * share**0.5:.1f}" fill="{PALETTE[arm]}" fill-opacity="0.5"/>')
        lines.append(f'<text x="{size - margin + 8}" y="{margin + 12 + 14 * row}" fill="{PALETTE[arm]}">{arm}</text>')
    lines.append("</svg>")
    path.write_text("\n".join(lines) + "\n")
