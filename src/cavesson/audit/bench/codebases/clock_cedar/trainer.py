"""Train one network and keep its learning curve."""

import numpy as np

from net import QuadraticNet
from optim import Adam


def first_at(curve, key, level):
    """Step at which a curve first reaches a level; -1 if it never does."""
    for point in curve:
        if point[key] >= level:
            return point["step"]
    return -1


def train(x, y, train_idx, test_idx, decay, cfg, rng):
    net = QuadraticNet(x.shape[1], cfg["hidden"], int(y.max()) + 1, cfg["init_scale"], rng)
    o = cfg["optimizer"]
    opt = Adam(net.params, o["lr"], o["beta1"], o["beta2"], decay)
    x_tr, y_tr, x_te, y_te = x[train_idx], y[train_idx], x[test_idx], y[test_idx]
    curve = []
    for step in range(1, cfg["steps"] + 1):
        loss, grads, acc = net.loss_and_grads(x_tr, y_tr)
        if step % cfg["eval_every"] == 0:
            test_acc = float((net.logits(x_te).argmax(axis=1) == y_te).mean())
            curve.append({"step": step, "loss": loss, "train": acc, "test": test_acc, "norm": net.norm()})
        opt.step(grads)
    return net, curve


def summarise(curve):
    # accuracies are averaged over the last ten evaluations
    tail = curve[-10:]
    return {
        "train_acc": float(np.mean([c["train"] for c in tail])),
        "test_acc": float(np.mean([c["test"] for c in tail])),
        "t_train": first_at(curve, "train", 0.99),
        "t_test": first_at(curve, "test", 0.9),
        "norm": curve[-1]["norm"],
    }
