"""results/seed_*/results.json -> results/table.json (mean and sd of every number) and results/extraction.svg"""
import json
from pathlib import Path

import numpy as np

from charts import bars

FOLDER = Path(__file__).resolve().parent / "results"


def merge(parts, f):
    first = parts[0]
    if isinstance(first, dict):
        return {k: merge([p[k] for p in parts], f) for k in first}
    return round(float(f(parts)), 5)


if __name__ == "__main__":
    runs = [json.loads(p.read_text()) for p in sorted(FOLDER.glob("seed_*/results.json"))]
    table = {"mean": merge(runs, np.mean), "sd": merge(runs, np.std)}
    (FOLDER / "table.json").write_text(json.dumps(table, indent=2) + "\n")
    bars(table["mean"]["extraction"], FOLDER / "extraction.svg")
