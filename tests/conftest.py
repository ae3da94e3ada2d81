"""What holds for every test: no network, no limit on time, no touching of the user's own store, no waiting for the disk, the
longest tests first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cavesson.lab.processors import collect_seldom
from cavesson.models import trial

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
collect_seldom()
TRIED_OUT = trial._is_bounded
trial._is_bounded = lambda source, variables: True  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test leaves to the default store goes into a temporary one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAVESSON_HOME", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="session", autouse=True)
def trust_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests may run the Python files that they write, and the user's own list of trusted files is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "CAVESSON_TRUST", os.pathsep.join([str(tmp_path_factory.getbasetemp()), str(Path(__file__).parent)])
        )
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """What tests write here need not survive a power failure, and a flush takes milliseconds of waiting, some ten for an artifact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture
def strange_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chat templates are tried out in a process of their own first: a tenth of a second each, which most tests' own templates need not."""
    monkeypatch.setattr(trial, "_is_bounded", TRIED_OUT)


LONGEST = (
    "test_wheel.py",
    "test_faults.py",
    "test_stress.py",
    "test_robust_organisms.py",
    "test_tutorial.py",
    "test_real_models.py",
)
"""Files whose tests take the most time (`benchmarks/suite.py` measures it), the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files, so that no process ends with a long test while the other processes have nothing to do."""
    place = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))
