"""math-verify in a separate process.

The library stops long comparisons by an alarm signal. The signal works in a program's main thread only, does not end a single
long operation of C code, and bounds no memory; but a model may write an answer such as 9^(9^(9^9)). A separate process can be
asked from any thread, and can be killed.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from cavesson.errors import CavessonError, install_hint

SECONDS = 3
"""Seconds that the library has for one comparison; the process is killed after twice as long."""

MEMORY = 4 << 30
"""Bytes of address space that the process may have."""


class Referee:
    """Decides whether two mathematical expressions are equal; expressions that take too long count as different."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self.same = lru_cache(maxsize=4096)(self._same)

    def _same(self, gold: str, given: str) -> bool:
        with self._lock:
            try:
                answer = self._ask([gold, given])
            except (BrokenPipeError, json.JSONDecodeError):  # the process was killed, for time or for memory
                answer = None
            if answer is None:
                self._close()
            return bool(answer)

    def _ask(self, question: Any) -> Any:
        """The process's answer; None if the process had to be killed."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        alarm = threading.Timer(2 * SECONDS, process.kill)
        alarm.start()
        try:
            line = process.stdout.readline()
        finally:
            alarm.cancel()
        return json.loads(line) if line else None

    def _running(self) -> subprocess.Popen[str]:
        """The process, started if necessary; a process inherited through a fork belongs to the parent and is not used."""
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            command = [sys.executable, "-m", "cavesson.evals.standard.referee"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._owner = os.getpid()
            assert self._process.stdout is not None and self._process.stderr is not None
            if self._process.stdout.readline() != "ready\n":
                reason = self._process.stderr.read().strip().splitlines()[-1:] or ["it ended at once"]
                self._close()
                raise CavessonError(f"math-verify does not start: {reason[0]}", install_hint("maths"))
            self._process.stderr.close()
        return self._process

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None and not pipe.closed:
                    pipe.close()


REFEREE = Referee()
atexit.register(REFEREE._close)


def _serve() -> None:
    """Answer questions, one JSON line each, until the input ends."""
    import logging
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process lives)
    print("ready", flush=True)
    for line in sys.stdin:
        gold, given = json.loads(line)
        try:
            right, answer = (
                parse(f"${gold}$", parsing_timeout=SECONDS),
                parse(f"\\boxed{{{given}}}", parsing_timeout=SECONDS),
            )
            same = bool(right) and bool(answer) and verify(right, answer, timeout_seconds=SECONDS)
        except Exception:  # sympy may raise anything on malformed input, which is no right answer
            same = False
        print(json.dumps(same), flush=True)


if __name__ == "__main__":
    _serve()
