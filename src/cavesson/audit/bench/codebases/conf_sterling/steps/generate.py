# step 1: make tables
#
# columns: x1 .. x4 (features), y (target), sigma (true noise level, never given to a model), part
import numpy as np
import pandas as pd

FEATURES = ["x1", "x2", "x3", "x4"]


def truth(x):
    """The regression function."""
    return np.sin(3 * x["x1"]) + 0.5 * x["x2"] ** 2 + 0.3 * x["x3"]


def noise_level(x, base, slope):
    """Noise grows along x1."""
    return base + slope * x["x1"]


def _features(n, tilt, rng):
    # x1 has density proportional to exp(tilt * x1) on [0, 1]; the others are plain
    u = rng.uniform(size=n)
    x1 = u if tilt == 0 else np.log1p(u * np.expm1(tilt)) / tilt
    return pd.DataFrame({
        "x1": x1,
        "x2": rng.normal(size=n),
        "x3": rng.normal(size=n),
        "x4": rng.normal(size=n),  # of no use
    })


def make_table(part, n, tilt, noise, rng):
    table = _features(n, tilt, rng)
    table["sigma"] = noise_level(table, noise["base"], noise["slope"])
    table["y"] = truth(table) + table["sigma"] * rng.normal(size=n)
    table["part"] = part
    return table


def make_tables(params, rng):
    """All tables of one repetition, by name."""
    sizes, noise = params["sizes"], params["noise"]
    return {
        "train": make_table("train", sizes["train"], 0, noise, rng),
        "calibration": make_table("calibration", sizes["calibration"], 0, noise, rng),
        "same": make_table("same", sizes["test"], 0, noise, rng),
        "shifted": make_table("shifted", sizes["test"], params["shift"]["tilt"], noise, rng),
        # unlabelled rows from the shifted population, for the weights
        "unlabelled": make_table("unlabelled", sizes["unlabelled"], params["shift"]["tilt"], noise, rng).drop(columns=["y"]),
    }
