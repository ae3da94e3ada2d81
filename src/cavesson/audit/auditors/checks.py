"""Functions with well-known names, called in the sandbox on made-up data and compared with what the name promises.

`auroc` must be the AUROC, `softmax` a softmax. Labels are random as well as informative, so that a statistic that
cannot fall below chance is found out. A function counts as wrong only if no usual reading of its name and arguments
gives the function's values.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cavesson.audit.auditors.decision import Decision
from cavesson.audit.auditors.sources import Workspace
from cavesson.audit.sandbox.protocol import Limits, Sandbox, SandboxError
from cavesson.audit.workspace import files_of

LIMITS = Limits(cpu_s=20, wall_s=40, memory_mb=1024, processes=16, output_bytes=100_000, disk_mb=64)

_DRIVER = "_check_functions.py"

_PROGRAM = r'''
import importlib, inspect, io, contextlib, json, os, re, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
sys.path.insert(0, os.getcwd())

def ranks(x):
    order = np.argsort(x, kind="stable"); r = np.empty(len(x)); r[order] = np.arange(1, len(x) + 1); return r
def auroc(s, y):
    p, n = (y == 1).sum(), (y == 0).sum()
    return (ranks(s)[y == 1].sum() - p * (p + 1) / 2) / (p * n)
def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True)); return e / e.sum(axis=-1, keepdims=True)
def sigmoid(z): return 1 / (1 + np.exp(-z))
def pearson(a, b): return np.corrcoef(a, b)[0, 1]
def ece(conf, hit, edges):
    at = np.clip(np.digitize(conf, edges[1:-1], right=True), 0, len(edges) - 2)
    return sum(abs(conf[at == k].mean() - hit[at == k].mean()) * (at == k).mean() for k in range(len(edges) - 1) if (at == k).any())

def cases(kind, rng, n=240):
    """(arguments, acceptable answers) in each usual reading of a name."""
    y = rng.integers(0, 2, n); z = rng.normal(size=n) + rng.choice([-1.5, 1.5, 0.0]) * (y - .5); p = sigmoid(z)
    k = rng.integers(0, 4, n); w = rng.normal(size=(n, 4)) + 2.0 * np.eye(4)[k] * rng.choice([0, 1]); q = softmax(w)
    a, b = rng.normal(size=n), rng.normal(size=n)
    top, conf = q.argmax(1), q.max(1)
    if kind == "auroc": return [((z, y), [auroc(z, y)]), ((p, y), [auroc(p, y)])]
    if kind == "accuracy": return [((top, k), [(top == k).mean()]), ((w, k), [(top == k).mean()]), ((z, y), [((z > 0) == y).mean(), ((z > .5) == y).mean()]),
                                   ((p, y), [((p > .5) == y).mean()])]
    if kind == "error": return [((top, k), [(top != k).mean()]), ((w, k), [(top != k).mean()]), ((z, y), [((z > 0) != y).mean(), ((z > .5) != y).mean()])]
    if kind == "brier": return [((p, y), [((p - y) ** 2).mean()]), ((q, k), [((q - np.eye(4)[k]) ** 2).sum(1).mean(), ((q - np.eye(4)[k]) ** 2).mean()])]
    if kind == "nll":
        pick = np.log(q[np.arange(n), k]); bern = np.where(y == 1, np.log(p), np.log(1 - p))
        return [((w, k), [-pick.mean(), -pick.sum()]), ((q, k), [-pick.mean(), -pick.sum()]), ((p, y), [-bern.mean(), -bern.sum()]), ((z, y), [-bern.mean(), -bern.sum()])]
    if kind == "ece":
        found = []
        for args, c, h in (((conf, (top == k).astype(float)), conf, top == k), ((q, k), conf, top == k), ((w, k), conf, top == k), ((p, y), p, y),
                           ((p, y), np.maximum(p, 1 - p), (p > .5) == y), ((z, y), np.maximum(p, 1 - p), (p > .5) == y)):
            h = np.asarray(h, float)
            found.append((args, [ece(c, h, e) for m in (5, 8, 10, 12, 15, 20, 25) for e in (np.linspace(0, 1, m + 1), np.linspace(.5, 1, m + 1), np.quantile(c, np.linspace(0, 1, m + 1)))]))
        return found
    if kind == "softmax": return [((w,), [q]), ((w[0],), [q[0]])]
    if kind == "sigmoid": return [((z,), [p])]
    if kind == "cosine": return [((a, b), [a @ b / np.linalg.norm(a) / np.linalg.norm(b)])]
    if kind == "mse": return [((a, b), [((a - b) ** 2).mean(), ((a - b) ** 2).mean() / 2])]
    if kind == "pearson": return [((a, b), [pearson(a, b)])]
    if kind == "spearman": return [((a, b), [pearson(ranks(a), ranks(b))])]
    if kind == "kl": return [((q[0], q[1]), [(q[0] * np.log(q[0] / q[1])).sum(), (q[1] * np.log(q[1] / q[0])).sum()])]
    if kind == "entropy": return [((q[0],), [-(q[0] * np.log(q[0])).sum(), -(q[0] * np.log2(q[0])).sum()]), ((q,), [-(q * np.log(q)).sum(1), -(q * np.log(q)).sum(1).mean()])]

NAMES = [("auroc", r"^(auroc|roc_auc|auc|rank_auc)$"), ("accuracy", r"^(accuracy|acc)$"), ("error", r"^(error_rate|error|err_rate)$"), ("brier", r"^brier(_score)?$"),
         ("nll", r"^(nll|cross_entropy|xent|log_loss|ce_loss|negative_log_likelihood)$"), ("ece", r"^(ece|expected_calibration_error|calibration_error)$"), ("softmax", r"^softmax$"),
         ("sigmoid", r"^(sigmoid|logistic_function|expit)$"), ("cosine", r"^(cosine|cos|cosine_similarity|cos_sim)$"), ("mse", r"^(mse|mean_squared_error)$"),
         ("pearson", r"^(pearson|pearsonr|correlation)$"), ("spearman", r"^(spearman|spearmanr|rank_correlation)$"), ("kl", r"^(kl|kl_divergence)$"), ("entropy", r"^entropy$")]
LABEL = re.compile(r"^(y|ys|k|t)$|label|target|truth|true|correct|hit|outcome|gold", re.I)

def agree(got, wanted):
    got = np.asarray(getattr(got, "detach", lambda: got)(), float)
    return any(got.shape == np.shape(x) and np.allclose(got, x, atol=0.012 if got.ndim == 0 else 1e-4) for x in wanted)

wrong = []
for name in json.loads(sys.argv[1]):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            module = importlib.import_module(name)
    except BaseException:
        continue
    for label, f in list(vars(module).items()):
        kind = next((kind for kind, pattern in NAMES if re.match(pattern, label.lstrip("_"))), None)
        if kind is None or not inspect.isfunction(f) or f.__module__ != name:
            continue
        params = list(inspect.signature(f).parameters.values())
        need = [p for p in params if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        readings = [0, 0]; gave = None
        for seed in range(6):
            for at, (args, wanted) in enumerate(cases(kind, np.random.default_rng(seed))):
                extra = len(need) - len(args)
                if not (extra == 0 or extra == 1 and re.search("bin", need[-1].name)):
                    continue
                if len(args) == 2 and kind in ("auroc", "accuracy", "error", "brier", "nll", "ece") and LABEL.search(need[0].name) and not LABEL.search(need[1].name):
                    args = args[::-1]
                try:
                    with contextlib.redirect_stdout(io.StringIO()):
                        got = f(*args, *([10] * extra))
                    fits = agree(got, wanted)
                except BaseException:
                    continue
                readings.append((at, fits)); gave = got
        tried = {}
        for at, fits in readings[2:]:
            tried.setdefault(at, []).append(fits)
        if tried and not any(all(fits) for fits in tried.values()):
            best = max(tried.values(), key=lambda fits: sum(fits))
            wrong.append({"module": name, "function": label, "line": f.__code__.co_firstlineno, "kind": kind, "agreed": sum(best), "of": len(best)})
print("\n" + json.dumps(wrong))
'''


def wrong_functions(workspace: Workspace, sandbox: Sandbox) -> Iterator[Decision]:
    """Functions that do not compute what their names promise."""
    modules = [module.name[:-3].replace("/", ".") for module in workspace.modules if any(module.functions())]
    with tempfile.TemporaryDirectory(prefix="cavesson-check-") as place:
        folder = Path(place) / "w"
        for name, path in files_of(workspace.folder).items():
            if path.stat().st_size <= 500_000:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(path.read_bytes())
        (folder / _DRIVER).write_text(_PROGRAM, encoding="utf-8")
        try:
            ran = sandbox.run(["python", _DRIVER, json.dumps(modules)], folder, LIMITS)
            found = json.loads(ran.stdout.strip().rpartition("\n")[2]) if ran.ok and ran.stdout.strip() else []
        except (SandboxError, ValueError):
            return
    for one in found if isinstance(found, list) else []:
        try:
            file, line = f"{one['module'].replace('.', '/')}.py", int(one["line"])
            name, kind, share = str(one["function"]), str(one["kind"]), one["agreed"] / max(1, one["of"])
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # the code under audit printed this line itself
        yield Decision(
            "mistake",
            "wrong_function",
            1.0 if share >= 0.3 else 0.7,
            f"{name} does not compute the {kind}",
            f"On made-up data {name} ({file}) does not give the {kind} that its name promises, in any usual reading of its arguments. Results that are "
            "computed with it are not what the paper says.",
            (f"{file}:{line}",),
        )
