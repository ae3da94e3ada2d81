import torch
from torch import nn

from .registry import MODELS, OPTIMISERS, SCHEDULES, TRACKERS


def mse(model, x, y):
    with torch.no_grad():
        return float(nn.functional.mse_loss(model(x), y))


def train(cfg, data, arm, seed):
    """One training with all trackers of the config beside it; returns results by tracker and a curve."""
    steps, size = cfg["training"]["steps"], cfg["training"]["batch"]
    model = MODELS.build(cfg["model"], dim=data.dim, seed=seed)
    optimiser = OPTIMISERS.build(cfg["optimiser"], params=model.parameters())
    factor = SCHEDULES.build(arm["schedule"])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: factor(s / steps))
    trackers = {key: TRACKERS.build(tracker, model=model) for key, tracker in cfg["trackers"].items()}

    curve, readings = [], {key: [] for key in trackers}
    first = steps - cfg["evaluation"]["readings"] * cfg["evaluation"]["apart"]
    for step, (x, y) in enumerate(data.batches(size, steps, seed)):
        loss = nn.functional.mse_loss(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        scheduler.step()
        for tracker in trackers.values():
            tracker.update(step, steps)
        if (step + 1) % cfg["evaluation"]["every"] == 0:
            curve.append((step + 1, {k: mse(t.result(), data.x_test, data.y_test) for k, t in trackers.items() if ready(t)}))

        if step >= first and (steps - 1 - step) % cfg["evaluation"]["apart"] == 0:
            for key, tracker in trackers.items():
                averaged = tracker.result()
                readings[key].append((mse(averaged, data.x_test, data.y_test), mse(averaged, data.x_train, data.y_train)))

    results = {}
    for key, tracker in trackers.items():
        final = tracker.result()
        results[key] = {
            "test": sum(test for test, _ in readings[key]) / len(readings[key]),
            "train": sum(train for _, train in readings[key]) / len(readings[key]),
            "norm": float(sum(p.detach().square().sum() for p in final.parameters()) ** 0.5),
        }
    return results, curve


def ready(tracker):
    return getattr(tracker, "shadow", ()) is not None
