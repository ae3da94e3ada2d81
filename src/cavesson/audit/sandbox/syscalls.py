"""System calls that a codebase never needs and an attack does: a seccomp filter as bytes.

Some reserve memory that belongs to no process, so that no limit counts it (`memfd_create`, System V memory); others
reach into other processes or into parts of the kernel with a long record of holes. Each fails with "not permitted".
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

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER, _ARCH = 0, 4
_X32 = 0x40000000
"""Numbers from here on are x86_64's second set of system calls, a way around a filter of the first."""


def filter_program(machine: str = platform.machine()) -> bytes | None:
    """The filter as an array of `struct sock_filter`; None for a processor whose numbers are not listed here."""
    if machine not in _AUDIT_ARCH:
        return None
    numbers = [pair[0 if machine == "x86_64" else 1] for pair in DENIED.values()]
    deny = len(numbers) + 5  # the last line, to which every hit jumps; a jump counts from the next line
    lines = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 0, deny - 2, _AUDIT_ARCH[machine]),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, deny - 4, 0, _X32),
        *((_EQUAL, deny - at - 1, 0, number) for at, number in enumerate(numbers, start=4)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DENY),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
