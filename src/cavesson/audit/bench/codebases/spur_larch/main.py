"""Command line: python main.py --seed 0 --out results/seed_0"""

import argparse
import json
from pathlib import Path

import torch

from study import Study, StudyConfig


class Figure:
    """Bars of the worst and the mean accuracy."""

    WIDTH, ROW = 440, 34

    def __init__(self, accuracy: dict[str, dict[str, float]]) -> None:
        self.accuracy = accuracy

    def render(self) -> str:
        """The figure as SVG."""
        height = 30 + self.ROW * len(self.accuracy)
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.WIDTH}" height="{height}" font-size="11">']
        for i, (name, values) in enumerate(self.accuracy.items()):
            y = 24 + self.ROW * i
            parts.append(f'<text x="5" y="{y + 12}">{name}</text>')
            for j, (key, colour) in enumerate((("mean", "#cccccc"), ("worst", "#7b3294"))):
                parts.append(
                    f'<rect x="110" y="{y + 13 * j}" width="{260 * values[key]:.1f}" height="11" fill="{colour}"/>'
                    f'<text x="{115 + 260 * values[key]:.1f}" y="{y + 10 + 13 * j}">{key} {values[key]:.2f}</text>'
                )
        return "\n".join([*parts, "</svg>", ""])


class Application:
    """Parses arguments, runs the study, writes files."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--out", type=Path, default=Path("out"))
        self.arguments = parser.parse_args()

    def run(self) -> None:
        torch.set_num_threads(1)
        study = Study(StudyConfig(), self.arguments.seed)
        results = study.run()
        out = self.arguments.out
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        (out / "accuracy.svg").write_text(Figure(results["accuracy"]).render())
        lines = [f"{step},{value:.4f}" for step, value in zip(study.history.steps, study.history.values)]
        (out / "worst_by_step.csv").write_text("\n".join(["step,worst", *lines, ""]))
        for name, values in results["accuracy"].items():
            print(f"{name:14s} worst {values['worst']:.3f}  mean {values['mean']:.3f}")


if __name__ == "__main__":
    Application().run()
