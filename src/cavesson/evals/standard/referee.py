"""math-verify in a separate process.

The library stops long comparisons by an alarm signal. The signal works in a program's main thread only, does not end a single
long operation of C code, and bounds no memory; but a model may write an answer such as 9^(9^(9^9)). A separate process can be
asked from any thread, and can be killed.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from cavesson.errors import CavessonError, install_hint

SECONDS = 3
"""Seconds that the library has for one comparison; the process is killed after twice as long."""

MEMORY = 4 << 30
"""Bytes of address space that the process may have."""


_FUNCTIONS = r"sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|arcsin|arccos|arctan|sinh|cosh|tanh|min|max|pi|infty"


def latex(answer: str) -> str:
    r"""An answer in one notation (`notation.one_line`) as LaTeX: `3*sqrt(5)/7` becomes `3\cdot \sqrt{5}/7`, `1 and 2` is `1, 2`."""
    text = re.sub(
        r"\s*,?\s*\b(?:and|or)\b\s*",
        ", ",
        answer.replace("**", "^")
        .replace("*", r"\cdot ")
        .replace("!=", r"\neq ")
        .replace("$", "")
        .replace(r"\varnothing", r"\emptyset"),
    )
    text = re.sub(r"(?<=[(\[{])[^()\[\]{}]*(?=[)\]}])", lambda found: re.sub(r",(?=\d{3})", ", ", found[0]), text)
    for _ in range(4):
        text = re.sub(r"(?<!\\)\bsqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(rf"(?<![\\a-zA-Z])({_FUNCTIONS})(?![a-zA-Z])", r"\\\1 ", text)
    text = re.sub(r"\^\s*\(([^()]*)\)|\^(-?\d{2,}|-\d)", lambda found: f"^{{{found[1] or found[2]}}}", text)
    return re.sub(r"(?<!\\)%", r"\\%", text)


class Referee:
    """Decides whether two mathematical expressions are equal; expressions that take too long are unreadable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self.compare = lru_cache(maxsize=4096)(self._compare)

    def _compare(self, gold: str, given: str) -> Literal["right", "wrong", "unreadable"]:
        with self._lock:
            try:
                answer = self._ask([gold, given])
            except (BrokenPipeError, json.JSONDecodeError):  # the process was killed, for time or for memory
                answer = None
            if answer is None:
                self._close()
            return answer or "unreadable"

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
            command = [sys.executable, "-P", "-m", "cavesson.evals.standard.referee"]
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
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process lives)
    print("ready", flush=True)
    # the whole answer is one formula: math-verify must neither look for a number inside it nor take letters for units
    usual = LatexExtractionConfig().normalization_config
    whole = [LatexExtractionConfig(normalization_config=replace(usual, units=False))]

    def read(answer: str) -> Any:
        return parse(f"${latex(answer)}$", whole, fallback_mode="no_fallback", parsing_timeout=SECONDS)

    for line in sys.stdin:
        gold, given = json.loads(line)
        try:
            right, answer = read(gold), read(given)
            same = (
                bool(right)
                and bool(answer)
                and verify(right, answer, allow_set_relation_comp=True, timeout_seconds=SECONDS)
            )
            verdict = "unreadable" if not answer else "right" if same else "wrong"
        except Exception:  # sympy may raise anything on malformed input
            verdict = "unreadable"
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    _serve()
