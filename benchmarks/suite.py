"""Which tests take the most processor time?

    python benchmarks/suite.py [arguments of pytest]

Runs the suite as `make test` does, but in one process, and prints its ten longest tests as a table in Markdown. A test's
seconds are those of the processor, so that a busy machine counts no more than a quiet machine: in this process and in every
process that a test started and waited for. What a fixture takes counts for the first test that asks for the fixture.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator

import pytest


def seconds() -> float:
    """Processor time of this process and of its children so far, in seconds."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


class Meter:
    """Notes what every test takes."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = seconds()
        try:
            return (yield)
        finally:
            self.took[item.nodeid] = seconds() - before


def main() -> int:
    """Run the suite and print its ten longest tests; pytest's exit status."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    meter = Meter()
    status = pytest.main(["-m", "not slow", *sys.argv[1:]], plugins=[meter])
    print("\n| test | CPU seconds |\n| --- | --- |")
    for name in sorted(meter.took, key=meter.took.__getitem__, reverse=True)[:10]:
        print(f"| `{name}` | {meter.took[name]:.0f} |")
    print(f"| all {len(meter.took)} tests | {sum(meter.took.values()):.0f} |")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
