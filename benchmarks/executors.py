"""What an executor costs: stages that do nothing, made in this process, by the pool, on Ray; and Ray's own empty tasks.

    python benchmarks/executors.py --stages 2000 --workers 2
    python benchmarks/executors.py --kills 5

With --kills: a Ray of a head and two nodes, one of which is killed at a random moment again and again, while another one joins.

A stage writes and reads a manifest, takes a lock and moves a folder; an empty task of Ray does none of this. Each executor begins
with stages that are not counted, so that its processes are there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from cavesson.lab.lab import Lab
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Job, Recipe
from cavesson.lab.store import Store


class Nothing(Recipe):
    """An empty artifact."""

    kind: ClassVar[str] = "executors:Nothing"

    number: int

    def make(self, job: Job) -> None:
        """Write nothing."""


def seconds_of(executor: str, workers: int, stages: int) -> float:
    """Seconds for so many empty stages; planning is not counted."""
    from executors import Nothing  # the name under which other processes know it

    with tempfile.TemporaryDirectory() as folder, Lab(Store(Path(folder) / "store"), workers, executor=executor) as lab:
        lab.make([Nothing(number=-1 - number) for number in range(4 * workers)])
        recipes = [Nothing(number=number) for number in range(stages)]
        started = time.monotonic()
        lab.plan(recipes)
        planned = time.monotonic() - started
        lab.make(recipes)
        return time.monotonic() - started - 2 * planned


class Slow(Recipe):
    """A number after a while."""

    kind: ClassVar[str] = "executors:Slow"

    number: int

    def make(self, job: Job) -> None:
        """Write the number."""
        time.sleep(1)
        (job.folder / "number.txt").write_text(str(self.number))


class Killer(Silent):
    """Kills nodes, each after a random number of finished stages, and counts stages that were made and that were lost."""

    def __init__(self, cluster: Any, kills: int, rng: Random) -> None:
        self.cluster, self.left, self.rng = cluster, kills, rng
        self.made, self.lost, self.next = 0, 0, rng.randint(3, 9)

    def finished(self, stage: Stage, made: bool) -> None:
        """Count a stage that this run made, and kill a node if it is time."""
        self.made += made
        if self.left and self.made >= self.next:
            self.left, self.next = self.left - 1, self.made + self.rng.randint(3, 9)
            self.cluster.remove_node(self.rng.choice(list(self.cluster.worker_nodes)), allow_graceful=False)
            self.cluster.add_node(num_cpus=1)

    def halted(self, stage: Stage, reason: str) -> None:
        """Count a stage that ended without its artifact."""
        self.lost += 1


def killed(stages: int, kills: int, seed: int) -> str:
    """Make stages of a second each while nodes are killed at random; returns what happened, in words."""
    from ray.cluster_utils import Cluster

    from executors import Slow  # the name under which other processes know it

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address
    with tempfile.TemporaryDirectory() as folder:
        store, killer = Store(Path(folder) / "store"), Killer(cluster, kills, Random(seed))
        with Lab(store, "auto", killer, executor="ray") as lab:
            recipes = [Slow(number=number) for number in range(stages)]
            lab.make(recipes)
        right = sum((store.path(one) / "number.txt").read_text() == str(one.number) for one in recipes)
    cluster.shutdown()
    return (
        f"{kills - killer.left} nodes killed: {killer.made} of {stages} made, {right} right, {killer.lost} begun again"
    )


def seconds_of_ray(workers: int, tasks: int) -> float:
    """Seconds for so many empty tasks of Ray, at most two a worker under way, as the executor keeps them."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    empty = ray.remote(lambda: None)
    ray.get([empty.remote() for _ in range(4 * workers)])
    started, under_way, left = time.monotonic(), [], tasks
    while left or under_way:
        while left and len(under_way) < 2 * workers:
            under_way.append(empty.remote())
            left -= 1
        done, under_way = ray.wait(under_way)
        ray.get(done)
    seconds = time.monotonic() - started
    ray.shutdown()
    return seconds


def main() -> None:
    """Print milliseconds of wall time a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.kills:
        print(killed(12 * given.kills, given.kills, given.seed))
        return
    print(f"{given.stages} empty stages, {given.workers} workers: ms a stage", flush=True)
    for name, workers in (("local", 1), ("pool", given.workers), ("ray", 2 * given.workers)):
        taken = seconds_of(name, workers, given.stages)
        print(f"{name:>22} {1000 * taken / given.stages:8.2f}", flush=True)
    print(f"{'an empty task of Ray':>22} {1000 * seconds_of_ray(given.workers, given.stages) / given.stages:8.2f}")


if __name__ == "__main__":
    main()
