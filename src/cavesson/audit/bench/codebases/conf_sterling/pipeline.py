"""Steps 1 to 5 for one seed.

    python pipeline.py --seed 0 --out results/seed_0
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from steps import checks, draw, evaluate, fit, generate


def repetition(params, seed, number):
    rng = np.random.default_rng([seed, number])
    tables = generate.make_tables(params, rng)
    checks.check_tables(tables, params)
    model = fit.fit_regressor(tables, params, random_state=1000 * seed + number)
    scale = fit.fit_scale(model, tables, params, random_state=1000 * seed + number + 500)
    ratio = fit.fit_density_ratio(tables, params)
    rows = evaluate.evaluate(model, scale, ratio, tables, params, number)
    checks.check_rows(rows)
    r2 = model.score(tables["same"][generate.FEATURES], tables["same"]["y"])
    return rows, r2


def main(seed, out, params_file):
    params = yaml.safe_load(params_file.read_text())
    started = time.perf_counter()
    frames, r2 = [], []
    for number in range(params["repetitions"]):
        rows, score = repetition(params, seed, number)
        frames.append(rows)
        r2.append(score)
    rows = pd.concat(frames, ignore_index=True)

    summary = evaluate.summarise(rows)
    summary["r2"] = float(np.mean(r2))
    summary["coverage_by_x1"] = evaluate.coverage_by_x1(rows, params["bins"])
    summary["infinite"] = float(np.isinf(rows["half_width"]).mean())

    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    table = rows.groupby(["population", "method", "repetition"])["covered"].mean().reset_index()
    table.to_csv(out / "coverage.csv", index=False, float_format="%.4f", lineterminator="\n")
    draw.coverage_figure(summary, params["alpha"], out / "coverage.svg")
    print(pd.DataFrame(summary["coverage"]).round(3).to_string())
    print(f"R2 {summary['r2']:.3f}, {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--seed", type=int, required=True)
    cli.add_argument("--out", type=Path, required=True)
    cli.add_argument("--params", type=Path, default=Path(__file__).parent / "params.yaml")
    arguments = cli.parse_args()
    main(arguments.seed, arguments.out, arguments.params)
