"""A chat template is tried out in a process that can be killed, before this process runs it.

A template comes with the model, from anybody. One line of Jinja (`9**9**9`, `'a' * 10**11`) takes all time or all memory, inside
a single operation of C code that nothing in the same process can stop.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from math import ceil

from cavesson.errors import ConfigError
from cavesson.models.template import LONGEST, ChatTemplate, EndlessError

SECONDS = 5
"""Processor seconds that a template has for a few words; real templates take a hundredth."""

MEMORY = 1 << 30
"""Bytes of address space that a template has for a few words."""

_PATIENCE = 120 if sys.platform == "linux" else 12
"""The process is killed after this many times its seconds by the clock. Linux counts the processor's seconds itself, and a machine
with twenty processes a core gives each of them as little."""

_WORDS = {"system": "Be brief.", "user": "2 + 2?", "assistant": "<think>\nTwo and two.\n</think>\n\nIt is 4."}
_TALKS = (("user",), ("system", "user"), ("user", "assistant"), ("system", "user", "assistant", "user", "assistant"))


def tried(source: str, variables: Mapping[str, str], owner: str) -> ChatTemplate:
    """The chat template, if a few words can be written with it in bounded time and memory; arguments and errors as of `ChatTemplate`.

    Raises:
        ConfigError: the template takes too much time or memory.
    """
    if len(source) <= LONGEST and not _is_bounded(source, json.dumps(dict(variables), sort_keys=True)):
        raise ConfigError(
            f"The chat template of {owner} does not end, or takes more than {SECONDS} seconds or {MEMORY >> 30} GiB for a few words.",
            "Use another model: a template that does this is broken or hostile.",
        )
    return ChatTemplate(source, variables, owner)


@lru_cache(maxsize=256)
def _is_bounded(source: str, variables: str) -> bool:
    command = [
        sys.executable,
        "-P",
        "-m",
        "cavesson.models.trial",
    ]  # -P: no file of the present folder stands for a module
    given = json.dumps([source, json.loads(variables)])
    try:
        done = subprocess.run(
            command, input=given.encode(), capture_output=True, timeout=_PATIENCE * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.stdout == b"done\n"


def _serve() -> None:
    """Read a template and its variables, write the conversations, and say that nothing burst."""
    if sys.platform == "linux":
        import resource

        most = SECONDS + ceil(time.process_time())  # what starting took does not count
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    source, variables = json.load(sys.stdin)
    for prompt in (True, False):
        for roles in _TALKS:
            try:
                template = ChatTemplate(source, variables, "")
                template.render([{"role": role, "content": _WORDS[role]} for role in roles], prompt)
            except ConfigError as error:
                if isinstance(error.__cause__, (MemoryError, EndlessError)):
                    raise
    print("done", flush=True)


if __name__ == "__main__":
    _serve()
