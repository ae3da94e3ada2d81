"""System calls that a codebase never needs and an attack does: a seccomp filter as bytes.

Some reserve memory that belongs to no process, so that no limit counts it (`memfd_create`, System V memory); others
reach into other processes or into parts of the kernel with a long record of holes. Each fails with "not permitted".
So do sockets of every family but AF_UNIX: namespaces do not hold some families (vsock leads to the machine itself). The
wish for a larger buffer of a socket is passed over, so that the warden knows how much memory a socket can hold.
"""

from __future__ import annotations

import errno
import platform
import struct

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

DENIED = {
    # name: (x86_64, aarch64)
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
}

SOCKETS = {"socket": (41, 198), "socketpair": (53, 199)}
SETSOCKOPT = (54, 208)
AF_UNIX, SOL_SOCKET, BUFFERS = 1, 1, (7, 8, 32, 33)
"""A family, a level, and the options for the size of a buffer, as Linux numbers them."""

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_RESULTS = {"allow": 0x7FFF0000, "deny": 0x00050000 | errno.EPERM, "pass over": 0x00050000}
_NUMBER, _ARCH, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32
"""Offsets in what the filter sees of a call; of each argument the lower half."""

_X32 = 0x40000000
"""Numbers from here on are x86_64's second set of system calls, a way around a filter of the first."""


def filter_program(machine: str = platform.machine()) -> bytes | None:
    """The filter as an array of `struct sock_filter`; None for a processor whose numbers are not listed here."""
    if machine not in _AUDIT_ARCH:
        return None
    at = 0 if machine == "x86_64" else 1
    following = "next"
    lines: list[tuple[int, int, str, str]] = [  # code, value, where to go on if it holds, and if not
        (_LOAD, _ARCH, following, following),
        (_EQUAL, _AUDIT_ARCH[machine], following, "deny"),
        (_LOAD, _NUMBER, following, following),
        (_AT_LEAST, _X32, "deny", following),
        *((_EQUAL, pair[at], "deny", following) for pair in DENIED.values()),
        *((_EQUAL, pair[at], "family", following) for pair in SOCKETS.values()),
        (_EQUAL, SETSOCKOPT[at], "option", "allow"),
    ]
    labels = {"family": len(lines), "option": len(lines) + 2}
    lines += [
        (_LOAD, _FIRST, following, following),
        (_EQUAL, AF_UNIX, "allow", "deny"),
        (_LOAD, _SECOND, following, following),
        (_EQUAL, SOL_SOCKET, following, "allow"),
        (_LOAD, _THIRD, following, following),
        *((_EQUAL, option, "pass over", following) for option in BUFFERS),
    ]
    labels |= {name: len(lines) + number for number, name in enumerate(_RESULTS)}  # "allow" comes first, as the next
    jumps = [
        (code, *(0 if to == following else labels[to] - number - 1 for to in (holds, fails)), value)
        for number, (code, value, holds, fails) in enumerate(lines)
    ]
    ends = [(_RETURN, 0, 0, result) for result in _RESULTS.values()]
    return b"".join(struct.pack("HBBI", *line) for line in [*jumps, *ends])
