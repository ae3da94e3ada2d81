"""Stages on a real Ray of several nodes: the same bits, and nothing but time is lost with a node."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cavesson.errors import ConfigError, MissingExtra, Stopped, TrainingError
from cavesson.lab.cluster import far
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from miniature import contents
from toys import Counting, Deep, Doubled, Failing, Number, Sum, Threads, View, value_of

ONE, TWO = Number(value=1), Number(value=2)
SUMS: tuple[Recipe, ...] = tuple(Sum(of=(Number(value=n), ONE)) for n in range(3))
GRAPH = [Sum(of=SUMS), Doubled(view=View(base=SUMS[0])), Counting(steps=3, after=SUMS[1])]
OBJECT_STORE = 80 << 20


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without cores and two nodes of one core; each node has a store of its own, for when there is a mirror."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    usual: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("RAY_DISABLE_IMPORT_WARNING", "1")
        cluster = Cluster(initialize_head=True, head_node_args={**usual, "num_cpus": 0})
        for number in range(2):
            home = tmp_path_factory.mktemp(f"node{number}")
            cluster.add_node(num_cpus=1, env_vars={"CAVESSON_HOME": str(home)}, **usual)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


class Ear(Silent):
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.halts: list[tuple[str, str]] = []
        self.steps: dict[str, float] = {}

    def progress(self, stage: Stage, progress: Progress) -> None:
        self.steps[stage.fingerprint] = progress.done

    def finished(self, stage: Stage, made: bool) -> None:
        self.made += [stage.fingerprint] * made

    def halted(self, stage: Stage, reason: str) -> None:
        self.halts.append((stage.fingerprint, reason))


def test_ray_makes_the_bits_of_the_local_pool_and_its_object_store_stays_empty(nodes: Any, tmp_path: Path) -> None:
    import ray

    with Lab(Store(tmp_path / "local")) as lab:
        lab.make(GRAPH)
    with Lab(Store(tmp_path / "ray"), "auto", executor="ray") as lab:
        assert lab.workers == 2  # the cores of the cluster, not of this machine
        lab.make(GRAPH)
        seen = json.loads((lab.path(Threads()) / "seen.json").read_text())
        assert (seen["environment"], seen["gpus"]) == ("1", "")  # one thread, and no GPU unless a stage asks for one
        most, free = (told["object_store_memory"] for told in (ray.cluster_resources(), ray.available_resources()))
        assert most == free == 3 * OBJECT_STORE
    made = contents(Store(tmp_path / "ray"))
    del made[Threads().fingerprint]
    assert made == contents(Store(tmp_path / "local"))


def test_what_goes_wrong_on_a_node_comes_back_as_what_it_is(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ear = Store(tmp_path / "store"), Ear()
    monkeypatch.setattr(far, "LIVES", 2)
    with Lab(store, 2, ear, executor="ray") as lab:
        with pytest.raises(TrainingError, match="not a number"):
            lab.make([Failing(how="cavesson")])
        with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
            lab.make([Failing(how="bug")])
        lab.make([Failing(how="killed once")])
        assert [reason for _, reason in ear.halts][-1] == "lost: its process died; made elsewhere"
        with pytest.raises(Exception, match=r"lost 2 times, the last time because its process died\.") as raised:
            lab.make([Failing(how="killed")])
        assert "run the same command again" in str(raised.value)
        over = Sum(of=(ONE, TWO))
        lab.make([over])
        (store.path(ONE) / "value.txt").write_text("9")
        lab.make([Deep(over=over)])
        assert value_of(store.path(ONE)) == 1


def test_ctrl_c_stops_stages_and_the_next_run_goes_on_where_they_were(nodes: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    counting = Counting(steps=40, seconds=20, log=log)

    class Impatient(Ear):
        def progress(self, stage: Stage, progress: Progress) -> None:
            if not self.steps:
                os.kill(os.getpid(), signal.SIGINT)
            super().progress(stage, progress)

    ear = Impatient()
    with Lab(Store(tmp_path / "store"), 2, ear, executor="ray") as lab, pytest.raises(Stopped):
        lab.make([counting])
    assert ear.halts == [(counting.fingerprint, "stopped")]
    reached = len(log.read_text().split())
    assert 0 < reached < 40
    with Lab(Store(tmp_path / "store"), 2, Ear(), executor="ray") as lab:
        (tmp_path / "store" / "scratch" / counting.fingerprint / "state").write_text("39")
        lab.make([counting])
    assert len(log.read_text().split()) == reached + 1


def test_nodes_without_a_common_file_system_share_artifacts_through_the_mirror(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "here")
    with Lab(store) as lab:
        lab.make([SUMS[0]])  # made before there was a mirror: the nodes get it all the same
    monkeypatch.setenv("CAVESSON_MIRROR", f"file://{tmp_path}/mirror")
    top = Sum(of=SUMS, seed=7)
    with Lab(Store(tmp_path / "here"), 2, executor="ray") as lab:
        lab.make([top])
        assert not (store.root / "artifacts" / top.fingerprint[:2] / top.fingerprint).exists()  # nothing comes unasked
        assert value_of(lab.path(top)) == 6
    monkeypatch.delenv("CAVESSON_MIRROR")
    with Lab(Store(tmp_path / "alone")) as lab:
        lab.make([top])
        assert contents(lab.store)[top.fingerprint] == contents(store)[top.fingerprint]


def test_a_killed_node_loses_its_stages_under_way_and_they_are_made_elsewhere(nodes: Any, tmp_path: Path) -> None:
    """The last test of this file: the cluster has a node less afterwards."""
    log = tmp_path / "log"
    slow = [Sum(of=(Number(value=n), ONE), seconds=3, log=log) for n in range(2)]

    class Killer(Ear):
        def progress(self, stage: Stage, progress: Progress) -> None:
            super().progress(stage, progress)
            if {one.fingerprint for one in slow} == {*self.steps} and len(nodes.worker_nodes) == 2:
                nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    ear = Killer()
    with Lab(Store(tmp_path / "ray"), 2, ear, executor="ray") as lab:
        lab.make(slow)
    assert [reason for _, reason in ear.halts] == ["lost: its node died; made elsewhere"]
    assert sorted(ear.made) == sorted({*ear.made}) and len(ear.made) == 4
    assert len(log.read_text().split("\n")) == 3
    store = Store(tmp_path / "ray")
    assert store.verify() == [] and [value_of(store.path(one)) for one in slow] == [1, 2]


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match="'ray' of the extra 'ray'"):
        Lab(Store(tmp_path), executor="ray")


def test_an_address_without_a_cluster_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with (
        Lab(Store(tmp_path), 2, executor="ray") as lab,
        pytest.raises(ConfigError, match="cannot be reached") as raised,
    ):
        lab.make([ONE])
    assert "127.0.0.1:1" in str(raised.value) and "ray start --head" in str(raised.value)
