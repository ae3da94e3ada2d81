"""The first process inside the sandbox: copies the folder, starts the command, watches it, sends files back.

This file runs alone, inside, with the standard library only (`python -I -S warden.py REQUEST`). As process 1 of its
own process namespace it cannot be killed or stopped by the command, and when it ends, the kernel kills all the rest.

It answers on a pipe that the command does not inherit: a line of JSON on what happened, then for each file that is
brought back a line of JSON with its path and size, and its bytes.
"""

# Importing pathlib would cost every run more than all the rest of this file:
# ruff: noqa: PTH101, PTH102, PTH116, PTH118, PTH123, PTH208

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import stat
import sys
import time
from typing import Any, BinaryIO

TICK = 0.02
"""Seconds between two looks at what the command uses."""

MAX_FILES = 20_000
"""Files of the command on disk: an empty one takes the kernel's memory, though no disk."""

SOCKET_BYTES = 212_992
"""The usual size of a socket's buffer."""

PR_SET_DUMPABLE = 4


def main(request: dict[str, Any]) -> None:
    """Run what is asked for, from the copy to the answer."""
    answer = os.fdopen(request["answer"], "wb")
    os.set_inheritable(answer.fileno(), False)
    # Not dumpable: the command, which has the same user id, can neither trace this process nor open its pipes.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # Python's own handlers; process 1 is deaf without
        signal.signal(number, signal.SIG_DFL)
    copy_tree(request["source"], request["work"])
    child = start(request["command"], request["work"], request["limits"], request["nice"])
    returncode, reason = watch(child, request["limits"], request["work"])
    end_all()
    send(answer, {"returncode": returncode, "killed_for": reason})
    for path in request["bring_back"]:
        send_files(answer, request["work"], path)
    answer.close()


def copy_tree(source: str, target: str) -> None:
    """Copy folders and regular files with their time stamps; links are left out."""
    os.mkdir(target)
    for entry in os.scandir(source):
        path = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            copy_tree(entry.path, path)
        elif entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as old, open(path, "wb") as new:
                while block := old.read(1 << 20):
                    new.write(block)
            os.chmod(path, 0o755 if entry.stat().st_mode & 0o100 else 0o644)
            os.utime(path, ns=(entry.stat().st_mtime_ns,) * 2)
    os.utime(target, ns=(os.stat(source).st_mtime_ns,) * 2)


def start(command: list[str], folder: str, limits: dict[str, float], nice: int) -> int:
    """Start the command in a session of its own, under the limits that the kernel keeps for one process."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        os.chdir(folder)
        set_limits(limits)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def set_limits(limits: dict[str, float]) -> None:
    """The kernel's part: processor time, private memory, size of a file, processes; no core dumps."""
    for what, value in {
        resource.RLIMIT_CPU: int(limits["cpu_s"]) + 1,
        resource.RLIMIT_DATA: int(limits["memory_mb"]) << 20,
        resource.RLIMIT_FSIZE: int(limits["disk_mb"]) << 20,
        resource.RLIMIT_NPROC: int(limits["processes"]),
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
    }.items():
        _, highest = resource.getrlimit(what)
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(what, (value, value))


def watch(child: int, limits: dict[str, float], folder: str) -> tuple[int, str | None]:
    """Wait for the command; kill everything at a limit that concerns all processes together.

    Returns:
        Its exit status (minus the number of the signal that ended it) and the limit that ended it, if one did.
    """
    started = next_look = time.monotonic()
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, TICK)
        if (status := reap(child)) is not None:
            return status, why_ended(status, folder)
        now = time.monotonic()
        if now < next_look:
            continue
        next_look = now + TICK
        reason = "wall" if now - started > limits["wall_s"] else over_limit(limits, folder)
        if reason is not None:
            end_all()
            return -signal.SIGKILL, reason


def why_ended(status: int, folder: str) -> str | None:
    """The limit of the kernel's that ended the command by itself, if one did."""
    if status == -signal.SIGXCPU:
        return "cpu"
    return "disk" if status == -signal.SIGXFSZ or (status != 0 and os.statvfs(folder).f_bavail == 0) else None


def reap(child: int) -> int | None:
    """Collect every process that has ended; the command's exit status if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = os.waitstatus_to_exitcode(status)


def over_limit(limits: dict[str, float], folder: str) -> str | None:
    """The limit that all processes of the sandbox together exceed, if they do."""
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    memory = cpu = threads = 0
    names = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    if len(names) > limits["processes"]:
        return "processes"  # at once: a fork bomb does not wait until all have been looked at
    for name in names:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has just ended
        cpu += sum(int(field) for field in fields[11:15])  # its own and that of its children who ended
        threads += int(fields[17])
        memory += int(fields[21]) * page + page_tables(name)
    memory += sockets()
    space = os.statvfs(folder)
    if threads > limits["processes"]:
        return "processes"
    if memory > limits["memory_mb"] * 2**20:
        return "memory"
    if space.f_files - space.f_ffree > MAX_FILES:
        return "disk"
    return "cpu" if cpu / tick > limits["cpu_s"] else None


def page_tables(process: str) -> int:
    """Bytes of a process's page tables: a mapping of zeros costs nothing else, and may cover terabytes."""
    try:
        with open(f"/proc/{process}/status", "rb") as file:
            return int(file.read().partition(b"VmPTE:")[2].split(maxsplit=1)[0]) << 10
    except (OSError, IndexError):
        return 0  # it has just ended


def sockets() -> int:
    """Bytes that all sockets of the sandbox can hold in their buffers, which belong to no process; the filter of system
    calls keeps the buffers at their usual size."""
    try:
        with open("/proc/net/sockstat", "rb") as file:
            return int(file.readline().split()[-1]) * SOCKET_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def end_all() -> None:
    """Kill all processes of the sandbox but this one, and wait until they are gone."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def send_files(answer: BinaryIO, work: str, path: str) -> None:
    """Send a file, or the files of a folder and below; nothing follows a link."""
    full = os.path.join(work, path)
    try:
        kind = os.lstat(full).st_mode
    except OSError:
        return
    if stat.S_ISDIR(kind):
        os.chmod(full, 0o700)  # the command may have closed the folder, to this process too
        for name in sorted(os.listdir(full)):
            send_files(answer, work, os.path.join(path, name))
    elif stat.S_ISREG(kind):
        os.chmod(full, 0o600)
        with open(os.open(full, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            content = file.read()
        send(answer, {"path": path, "size": len(content)})
        answer.write(content)


def send(answer: BinaryIO, message: dict[str, Any]) -> None:
    """One line of JSON."""
    answer.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
