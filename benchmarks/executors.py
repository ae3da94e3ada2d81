"""What an executor costs: stages that do nothing, made in this process, by the pool, on Ray; and Ray's own empty tasks.

    python benchmarks/executors.py --stages 2000 --workers 2
    python benchmarks/executors.py --stages 10000 --workers 2 --only local,pool
    python benchmarks/executors.py --kills 5

Wall time, and processor time of the process that gives the stages out: on a busy machine only the second says something.

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


Clocks = tuple[float, float]
"""Seconds by the clock and of this process's processor time."""


def clocks() -> Clocks:
    """Both clocks now."""
    return time.monotonic(), time.process_time()


def since(begun: Clocks, twice: Clocks = (0.0, 0.0)) -> Clocks:
    """Seconds since then, less something that was done twice."""
    now = clocks()
    return now[0] - begun[0] - 2 * twice[0], now[1] - begun[1] - 2 * twice[1]


def seconds_of(executor: str, workers: int, stages: int) -> Clocks:
    """Seconds for so many empty stages; planning is not counted."""
    from executors import Nothing  # the name under which other processes know it

    with tempfile.TemporaryDirectory() as folder, Lab(Store(Path(folder) / "store"), workers, executor=executor) as lab:
        lab.make([Nothing(number=-1 - number) for number in range(4 * workers)])
        recipes = [Nothing(number=number) for number in range(stages)]
        started = clocks()
        lab.plan(recipes)
        planned = since(started)
        lab.make(recipes)
        return since(started, planned)


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


def seconds_of_ray(workers: int, tasks: int) -> Clocks:
    """Seconds for so many empty tasks of Ray, at most two a worker under way, as the executor keeps them."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    empty = ray.remote(lambda: None)
    ray.get([empty.remote() for _ in range(4 * workers)])
    started, under_way, left = clocks(), [], tasks
    while left or under_way:
        while left and len(under_way) < 2 * workers:
            under_way.append(empty.remote())
            left -= 1
        done, under_way = ray.wait(under_way)
        ray.get(done)
    seconds = since(started)
    ray.shutdown()
    return seconds


def main() -> None:
    """Print milliseconds a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="local,pool,ray,task")
    given = parser.parse_args()
    if given.kills:
        print(killed(12 * given.kills, given.kills, given.seed))
        return
    print(
        f"{given.stages} empty stages, {given.workers} workers: ms a stage by the clock, and of this process",
        flush=True,
    )
    workers = {"local": 1, "pool": given.workers, "ray": 2 * given.workers}
    for name in given.only.split(","):
        taken = (
            seconds_of_ray(given.workers, given.stages)
            if name == "task"
            else seconds_of(name, workers[name], given.stages)
        )
        title = "an empty task of Ray" if name == "task" else name
        print(f"{title:>22}", *(f"{1000 * seconds / given.stages:8.2f}" for seconds in taken), flush=True)


if __name__ == "__main__":
    main()
