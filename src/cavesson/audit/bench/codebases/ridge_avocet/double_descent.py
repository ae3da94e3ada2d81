"""Double descent with and without a tuned ridge, as a composition of pure functions.

No classes, no state: every function maps immutable records to immutable records, and random numbers come
from keys that are split on the way down.
"""
import json
import sys
from functools import partial, reduce
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Callable, Iterable, Mapping, NamedTuple, Sequence

import numpy as np

Array = np.ndarray
Key = tuple[int, ...]


# ---------------------------------------------------------------------------------------------- records


class Task(NamedTuple):
    x_train: Array
    y_train: Array
    x_valid: Array
    y_valid: Array
    x_test: Array
    y_test: Array


class Features(NamedTuple):
    train: Array
    valid: Array
    test: Array


class Fit(NamedTuple):
    penalty: float
    weights: Array


class Point(NamedTuple):
    width: int
    method: str
    train: float
    test: float
    norm: float
    penalty: float


class Plan(NamedTuple):
    dim: int = 20
    train: int = 120
    valid: int = 120
    test: int = 1200
    noise: float = 0.5
    widths: tuple[int, ...] = (10, 30, 60, 90, 110, 120, 130, 160, 240, 480, 960)
    penalties: tuple[float, ...] = tuple(10.0**e for e in range(-6, 4))
    fixed: float = 1e-2
    draws: int = 6


PLAN = Plan()


# ---------------------------------------------------------------------------------------------- randomness


def split(key: Key, *more: int) -> Key:
    return (*key, *more)


def generator(key: Key) -> np.random.Generator:
    return np.random.default_rng(list(key))


# ---------------------------------------------------------------------------------------------- data


def target(w: Array, v: Array, x: Array) -> Array:
    """A linear part and a bent part."""
    return x @ w + 0.5 * np.tanh(2 * (x @ v))


def draw_task(plan: Plan, key: Key) -> Task:
    g = generator(split(key, 0))
    w, v = (u / np.linalg.norm(u) for u in g.normal(size=(2, plan.dim)))
    sizes = (plan.train, plan.valid, plan.test)
    xs = tuple(map(lambda n: g.normal(size=(n, plan.dim)), sizes))
    clean = tuple(map(partial(target, w, v), xs))
    noisy = tuple(y + plan.noise * g.normal(size=len(y)) for y in clean[:2])
    return Task(xs[0], noisy[0], xs[1], noisy[1], xs[2], clean[2])


def draw_map(dim: int, width: int, key: Key) -> Callable[[Array], Array]:
    """Random ReLU features."""
    g = generator(split(key, 1, width))
    a = g.normal(size=(dim, width)) / np.sqrt(dim)
    b = g.uniform(-1, 1, size=width)
    return lambda x: np.maximum(x @ a + b, 0) / np.sqrt(width)


def featurise(task: Task, f: Callable[[Array], Array]) -> Features:
    return Features(f(task.x_train), f(task.x_valid), f(task.x_test))


# ---------------------------------------------------------------------------------------------- fits


def least_norm(phi: Array, y: Array) -> Fit:
    """The least-squares solution of smallest norm."""
    return Fit(0.0, np.linalg.lstsq(phi, y, rcond=None)[0])


def ridge(phi: Array, y: Array, penalty: float) -> Fit:
    """Primal or dual, whichever is smaller."""
    n, p = phi.shape
    if p <= n:
        return Fit(penalty, np.linalg.solve(phi.T @ phi + penalty * np.eye(p), phi.T @ y))
    return Fit(penalty, phi.T @ np.linalg.solve(phi @ phi.T + penalty * np.eye(n), y))


def mse(phi: Array, y: Array, fit: Fit) -> float:
    return float(np.mean((phi @ fit.weights - y) ** 2))


def best(fits: Iterable[Fit], score: Callable[[Fit], float]) -> Fit:
    return min(((score(f), f) for f in fits), key=itemgetter(0))[1]


def tuned_ridge(phi: Features, task: Task, plan: Plan) -> Fit:
    fits = (ridge(phi.train, task.y_train, c) for c in plan.penalties)
    return best(fits, partial(mse, phi.valid, task.y_valid))


METHODS: Mapping[str, Callable[[Features, Task, Plan], Fit]] = {
    "least_norm": lambda phi, task, plan: least_norm(phi.train, task.y_train),
    "fixed_ridge": lambda phi, task, plan: ridge(phi.train, task.y_train, plan.fixed),
    "tuned_ridge": tuned_ridge,
}


# ---------------------------------------------------------------------------------------------- measurement


def measure(phi: Features, task: Task, plan: Plan, width: int, method: str) -> Point:
    fit = METHODS[method](phi, task, plan)
    return Point(
        width,
        method,
        mse(phi.train, task.y_train, fit),
        mse(phi.test, task.y_test, fit),
        float(np.linalg.norm(fit.weights)),
        fit.penalty,
    )


def one_draw(plan: Plan, key: Key) -> tuple[Point, ...]:
    """All widths and methods on one data set; methods share the features."""
    task = draw_task(plan, key)
    phis = {width: featurise(task, draw_map(plan.dim, width, key)) for width in plan.widths}
    return tuple(measure(phis[w], task, plan, w, m) for w, m in product(plan.widths, METHODS))


def all_draws(plan: Plan, seed: int) -> tuple[Point, ...]:
    return tuple(p for k in range(plan.draws) for p in one_draw(plan, (seed, k)))


# ---------------------------------------------------------------------------------------------- spectra


def smallest_singular(phi: Array) -> float:
    return float(np.linalg.svd(phi, compute_uv=False)[-1])


def effective_rank(phi: Array) -> float:
    """Exponential of the entropy of the normalised squared singular values."""
    share = np.linalg.svd(phi, compute_uv=False) ** 2
    share = share[share > 0] / share.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def spectra(plan: Plan, seed: int) -> dict[str, dict[str, float]]:
    """Of the training features of the first draw, by width."""
    task = draw_task(plan, (seed, 0))
    phis = {w: draw_map(plan.dim, w, (seed, 0))(task.x_train) for w in plan.widths}
    return {
        "smallest": {str(w): smallest_singular(phi) for w, phi in phis.items()},
        "rank": {str(w): effective_rank(phi) for w, phi in phis.items()},
    }


# ---------------------------------------------------------------------------------------------- summaries


def group(points: Sequence[Point], field: str) -> dict[str, dict[str, list[float]]]:
    """method → width → values of a field, one per draw."""

    def add(acc: dict, p: Point) -> dict:
        acc.setdefault(p.method, {}).setdefault(str(p.width), []).append(getattr(p, field))
        return acc

    return reduce(add, points, {})


def map_leaves(f: Callable, tree: Mapping) -> dict:
    return {k: map_leaves(f, v) if isinstance(v, Mapping) else f(v) for k, v in tree.items()}


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def peak_ratio(errors: Mapping[str, float], at: int, far: int) -> float:
    return errors[str(at)] / errors[str(far)]


def largest_rise(errors: Mapping[str, float]) -> float:
    """Largest factor by which the error of a width exceeds that of a smaller width."""
    values = list(errors.values())
    return max(b / min(values[:i]) for i, b in enumerate(values) if i)


def summarise(points: Sequence[Point], plan: Plan) -> dict:
    test = map_leaves(geometric_mean, group(points, "test"))
    return {
        "test": test,
        "train": map_leaves(mean, group(points, "train")),
        "norm": map_leaves(geometric_mean, group(points, "norm")),
        "penalty": map_leaves(geometric_mean, {"tuned_ridge": group(points, "penalty")["tuned_ridge"]}),
        "peak": {m: peak_ratio(e, plan.train, plan.widths[-1]) for m, e in test.items()},
        "rise": {m: largest_rise(e) for m, e in test.items()},
    }


# ---------------------------------------------------------------------------------------------- output


def scale(low: float, high: float, a: float, b: float) -> Callable[[float], float]:
    return lambda v: a + (np.log(v) - np.log(low)) / (np.log(high) - np.log(low)) * (b - a)


def polyline(colour: str, points: Iterable[tuple[float, float]]) -> str:
    return f"<polyline fill='none' stroke='{colour}' points='{' '.join(f'{x:.1f},{y:.1f}' for x, y in points)}'/>"


def label(x: float, y: float, text: str, colour: str = "black") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' fill='{colour}'>{text}</text>"


def draw(summary: dict, plan: Plan) -> str:
    values = [v for by_width in summary["test"].values() for v in by_width.values()]
    sx, sy = scale(plan.widths[0], plan.widths[-1], 40, 420), scale(min(values), max(values), 230, 30)
    colours = dict(zip(summary["test"], ("firebrick", "goldenrod", "seagreen")))
    curves = [polyline(c, [(sx(int(w)), sy(v)) for w, v in summary["test"][m].items()]) for m, c in colours.items()]
    names = [label(40 + 110 * i, 18, m, c) for i, (m, c) in enumerate(colours.items())]
    ticks = [label(sx(w) - 8, 248, str(w)) for w in (plan.widths[0], plan.train, plan.widths[-1])]
    ends = [label(2, sy(v) + 4, f"{v:.2f}") for v in (min(values), max(values))]
    head = "<svg xmlns='http://www.w3.org/2000/svg' width='450' height='260' font-size='11'>"
    return "\n".join([head, *curves, *names, *ticks, *ends, "</svg>", ""])


def table(points: Sequence[Point]) -> str:
    rows = (f"{p.method},{p.width},{p.train:.6g},{p.test:.6g},{p.norm:.6g},{p.penalty:.3g}" for p in points)
    return "\n".join(["method,width,train,test,norm,penalty", *rows, ""])


def save(folder: Path, contents: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)


def arguments(argv: Sequence[str]) -> dict[str, str]:
    """--name value pairs."""
    return {name.lstrip("-"): value for name, value in zip(argv[::2], argv[1::2], strict=True)}


def main(argv: Sequence[str]) -> None:
    given = arguments(argv)
    points = all_draws(PLAN, int(given["seed"]))
    summary = summarise(points, PLAN) | {"spectrum": spectra(PLAN, int(given["seed"]))}
    save(
        Path(given["out"]),
        {
            "results.json": json.dumps(summary, indent=1) + "\n",
            "points.csv": table(points),
            "errors.svg": draw(summary, PLAN),
        },
    )
    print(*(f"{m:12s} peak {summary['peak'][m]:8.2f}  rise {summary['rise'][m]:8.2f}" for m in METHODS), sep="\n")
    print(*(f"{w:>5s} " + " ".join(f"{summary['test'][m][w]:9.3f}" for m in METHODS) for w in summary["test"]["least_norm"]), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
