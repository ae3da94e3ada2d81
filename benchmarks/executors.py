"""What an executor costs: stages that do nothing, made in this process, by the pool, on Ray; and Ray's own empty tasks.

    python benchmarks/executors.py --stages 2000 --workers 2

A stage writes and reads a manifest, takes a lock and moves a folder; an empty task of Ray does none of this. Each executor begins
with stages that are not counted, so that its processes are there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import ClassVar

from cavesson.lab.lab import Lab
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
    given = parser.parse_args()
    print(f"{given.stages} empty stages, {given.workers} workers: ms a stage", flush=True)
    for name, workers in (("local", 1), ("pool", given.workers), ("ray", 2 * given.workers)):
        taken = seconds_of(name, workers, given.stages)
        print(f"{name:>22} {1000 * taken / given.stages:8.2f}", flush=True)
    print(f"{'an empty task of Ray':>22} {1000 * seconds_of_ray(given.workers, given.stages) / given.stages:8.2f}")


if __name__ == "__main__":
    main()
