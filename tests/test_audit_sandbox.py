"""Attacks on the sandbox: each test is a program that a hostile codebase could be, and must get nowhere."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cavesson.audit.sandbox.bringback import bring_back
from cavesson.audit.sandbox.find import find_sandbox
from cavesson.audit.sandbox.protocol import Limits, Ran, Sandbox, SandboxError
from cavesson.audit.sandbox.unsafe import UnsafeSandbox
from cavesson.errors import ConfigError

needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (Debian: apt install bubblewrap)"
)
SMALL = Limits(cpu_s=5, wall_s=10, memory_mb=256, processes=24, output_bytes=50_000, disk_mb=16)


@pytest.fixture
def box() -> Sandbox:
    return find_sandbox()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    (place / "data.txt").write_text("data")
    return place


def attack(box: Sandbox, folder: Path, program: str, limits: Limits = SMALL, writable: tuple[str, ...] = ()) -> Ran:
    (folder / "attack.py").write_text(textwrap.dedent(program))
    return box.run(["python", "-S", "attack.py"], folder, limits, writable=writable)


# ----------------------------------------------------------------------------------------------- what it is for


@needs_bubblewrap
def test_a_run_sees_its_folder_and_numpy_and_brings_back_what_was_asked_for(box: Sandbox, folder: Path) -> None:
    ran = box.run(
        ["python", "-c", "import numpy, os; os.mkdir('out'); open('out/a', 'w').write(open('data.txt').read());"
         "open('data.txt', 'w').write('changed'); open('b', 'w'); print(numpy.arange(3), os.environ['OMP_NUM_THREADS'],"
         "os.environ['PYTHONHASHSEED'])"],
        folder, writable=("out",),
    )  # fmt: skip
    assert ran.ok and ran.stdout == "[0 1 2] 1 0\n", ran
    assert (folder / "out" / "a").read_text() == "data"
    assert (folder / "data.txt").read_text() == "data", "only what was asked for comes back"
    assert not (folder / "b").exists()


@needs_bubblewrap
def test_the_whole_folder_can_come_back_so_that_commands_build_on_one_another(box: Sandbox, folder: Path) -> None:
    for command in ("echo one > new; rm data.txt", "echo two >> new"):
        assert box.run(["sh", "-c", command], folder, SMALL, writable=(".",)).ok
    assert sorted(path.name for path in folder.iterdir()) == ["new"]
    assert (folder / "new").read_text() == "one\ntwo\n"


@needs_bubblewrap
def test_exit_status_signals_and_missing_programs_are_told_apart(box: Sandbox, folder: Path) -> None:
    assert box.run(["sh", "-c", "exit 3"], folder, SMALL).returncode == 3
    assert box.run(["sh", "-c", "kill -TERM $$"], folder, SMALL).returncode == -15
    missing = box.run(["no-such-program"], folder, SMALL)
    assert missing.returncode == 127 and "no-such-program" in missing.stderr


# ----------------------------------------------------------------------------------------------- limits


@needs_bubblewrap
def test_a_fork_bomb_is_killed(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
    )
    assert ran.killed_for in ("processes", "cpu") and not ran.ok
    assert ran.seconds < SMALL.wall_s


@needs_bubblewrap
def test_threads_count_as_processes(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        """
        import threading, time
        for _ in range(200):
            threading.Thread(target=time.sleep, args=(60,)).start()
        time.sleep(60)
        """,
    )
    assert ran.killed_for == "processes" or "can't start new thread" in ran.stderr


@needs_bubblewrap
@pytest.mark.parametrize(
    "hog",
    {
        "one process": "x = bytearray(2 << 30); print('GOT IT')",
        "many processes": """
            import os, time
            for _ in range(12):
                if os.fork() == 0:
                    x = bytearray(b'1') * (64 << 20)
                    time.sleep(60)
            time.sleep(60); print('GOT IT')
            """,
        "shared memory": """
            import mmap, time
            m = mmap.mmap(-1, 2 << 30)
            for at in range(0, 2 << 30, 4096):
                m[at] = 1
            time.sleep(60); print('GOT IT')
            """,
        "files without a name": """
            import os
            for n in range(100):
                f = os.memfd_create(str(n))
                for _ in range(16):
                    os.write(f, bytes(1 << 20))
            print('GOT IT')
            """,
        "memory that outlives its processes": """
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            for _ in range(50):
                n = libc.shmget(0, ctypes.c_size_t(64 << 20), 0o1600)
                assert n >= 0, 'refused'
                libc.shmat.restype = ctypes.c_void_p
                at = libc.shmat(n, None, 0)
                ctypes.memset(at, 1, 64 << 20)
                libc.shmdt(ctypes.c_void_p(at))
            print('GOT IT')
            """,
        "page tables": """
            import ctypes
            libc = ctypes.CDLL(None)
            libc.mmap.restype = ctypes.c_void_p
            libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
            count, apart = 200_000, 2 << 20  # a page of zeros every 2 MB costs a page table of 4 kB, and nothing else
            at = libc.mmap(None, count * apart, 1, 0x4022, -1, 0)
            libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(count * apart), 15)
            for n in range(count):
                ctypes.c_ubyte.from_address(at + n * apart).value
            print('GOT IT')
            """,
        "buffers of sockets": """
            import os, socket, time
            for _ in range(16):
                if os.fork() == 0:
                    kept = []
                    while True:
                        try:
                            one, other = socket.socketpair()
                        except OSError:
                            time.sleep(60)
                        kept += [one, other]
                        one.setblocking(False)
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
                        try:
                            while True:
                                one.send(bytes(65536))
                        except BlockingIOError:
                            pass
            time.sleep(8); print('GOT IT')
            """,
    }.items(),
    ids=lambda item: item[0],
)
def test_a_memory_hog_gets_no_more_than_its_share(box: Sandbox, folder: Path, hog: tuple[str, str]) -> None:
    ran = attack(box, folder, hog[1])
    assert not ran.ok and "GOT IT" not in ran.stdout
    assert ran.killed_for in ("memory", None)


@needs_bubblewrap
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output_is_cut_off(box: Sandbox, folder: Path, stream: str) -> None:
    ran = attack(box, folder, f"import sys\nwhile True: sys.{stream}.write('spam ' * 1000)")
    assert ran.killed_for == "output"
    assert len(getattr(ran, stream)) <= SMALL.output_bytes


@needs_bubblewrap
@pytest.mark.parametrize(
    "filler",
    [
        "open('big', 'wb').write(bytes(64 << 20))",
        "for n in range(100): open(f'big{n}', 'wb').write(bytes(1 << 20))",
        "for n in range(100): open(f'/tmp/big{n}', 'wb').write(bytes(1 << 20))",
        "for n in range(100): open(f'/dev/shm/big{n}', 'wb').write(bytes(1 << 20))",
        "for n in range(1_000_000): open(f'empty{n}', 'wb')",
    ],
)
def test_the_disk_cannot_be_filled(box: Sandbox, folder: Path, filler: str) -> None:
    ran = attack(box, folder, f"{filler}\nprint('GOT IT')")
    assert not ran.ok and "GOT IT" not in ran.stdout


@needs_bubblewrap
def test_time_is_limited_on_the_wall_and_on_the_processor(box: Sandbox, folder: Path) -> None:
    asleep = attack(box, folder, "import time; time.sleep(60)", Limits(wall_s=0.5))
    assert asleep.killed_for == "wall" and asleep.timed_out and asleep.seconds < 5
    busy = attack(box, folder, "while True: pass", Limits(cpu_s=1, wall_s=30))
    assert busy.killed_for == "cpu" and busy.timed_out and busy.seconds < 15


@needs_bubblewrap
def test_deaf_programs_are_killed_too(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        """
        import signal, time
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            time.sleep(1)
        """,
        Limits(wall_s=0.5),
    )
    assert ran.killed_for == "wall"


@needs_bubblewrap
@pytest.mark.parametrize("ends", ["", "import time; time.sleep(60)"])
def test_a_child_that_outlives_its_parent_is_killed(box: Sandbox, folder: Path, ends: str) -> None:
    mark = f"outlive-{os.getpid()}-{len(ends)}"
    attack(
        box,
        folder,
        f"""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp('sleep', ['{mark}', '300'])
        time.sleep(0.3)
        {ends}
        """,
        Limits(wall_s=1),
    )
    assert not [name for name in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in _read(name)]


@needs_bubblewrap
def test_when_this_process_dies_the_sandbox_dies_with_it(folder: Path) -> None:
    mark = f"orphan-{os.getpid()}"
    program = (
        "from pathlib import Path; from cavesson.audit.sandbox.find import find_sandbox; from cavesson.audit.sandbox.protocol import Limits;"
        f"find_sandbox().run(['sh', '-c', 'exec -a {mark} sleep 300 || sleep 300 {mark}'], Path({str(folder)!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program.replace("'sh'", "'bash'")])
    assert _wait(lambda: _running(mark))
    parent.kill()
    parent.wait()
    assert _wait(lambda: not _running(mark))


@needs_bubblewrap
def test_the_warden_can_be_neither_killed_nor_stopped_nor_read(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        """
        import ctypes, os, signal, time
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT):
            os.kill(1, number)
        for name in ('mem', 'environ', *(f'fd/{n}' for n in range(32))):
            try:
                os.open(f'/proc/1/{name}', os.O_RDONLY)
                print('OPENED', name)
            except OSError:
                pass
        print('traced' if ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0 else 'not traced')
        time.sleep(60)
        """,
        Limits(wall_s=1),
    )
    assert ran.killed_for == "wall" and ran.stdout == "not traced\n", ran


# ----------------------------------------------------------------------------------------------- what it may reach


@needs_bubblewrap
def test_nothing_outside_can_be_written(box: Sandbox, folder: Path, tmp_path: Path) -> None:
    places = [Path.home() / "x", "/etc/x", "/usr/x", "/x", "/dev/x", "/run/x", "/run/source/x", tmp_path / "x",
              Path(sys.prefix) / "x", Path(sys.base_prefix) / "x", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"]  # fmt: skip
    ran = attack(
        box,
        folder,
        f"""
        import os
        for place in {[str(place) for place in places]}:
            try:
                os.close(os.open(place, os.O_WRONLY | os.O_CREAT))  # opened only: what if it were to succeed?
                print('OPENED', place)
            except OSError:
                print('refused')
        """,
    )
    opened = {line.split()[1] for line in ran.stdout.splitlines() if line.startswith("OPENED")}
    assert len(ran.stdout.splitlines()) == len(places), ran
    assert not opened
    assert not any(Path(place).exists() for place in places[:-2])
    assert (folder / "data.txt").read_text() == "data"


@needs_bubblewrap
def test_the_answer_key_the_store_and_the_home_folder_are_not_there(box: Sandbox, folder: Path, tmp_path: Path) -> None:
    from cavesson.audit.bench import builtin_root
    from cavesson.lab.place import default_root

    secret = tmp_path / "secret-answer-key.yaml"
    secret.write_text("sabotage: SECRET")
    places = [secret, builtin_root(), default_root(), Path.home() / ".ssh", Path.home() / ".bashrc", tmp_path,
              "/etc/passwd", "/etc/shadow", "/var", "/root/.bash_history", "/sys"]  # fmt: skip
    ran = attack(
        box,
        folder,
        f"""
        import os
        print([place for place in {[str(place) for place in places]} if os.path.lexists(place)])
        """,
    )
    assert ran.ok and ran.stdout == "[]\n", ran


@needs_bubblewrap
def test_where_the_packages_hold_this_project_its_folder_is_empty(folder: Path, tmp_path: Path) -> None:
    hidden = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "numpy"
    ran = attack(find_sandbox(hidden=(hidden,)), folder, f"import os; print(os.listdir({str(hidden)!r}))")
    assert ran.stdout == "[]\n"
    dist_info = list(hidden.parent.glob("cavesson-*.dist-info"))
    ran = attack(find_sandbox(), folder, f"import os; print([os.listdir(p) for p in {[str(p) for p in dist_info]}])")
    assert ran.stdout == f"{[[] for _ in dist_info]}\n", "the list of installed files names the sabotaged cases"


@needs_bubblewrap
def test_sockets_join_the_processes_of_a_run_and_nothing_else(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        """
        import asyncio, socket
        names = [name for name in dir(socket) if name.startswith('AF_')]
        for name in names:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
                try:
                    socket.socket(getattr(socket, name), kind)
                    print(name)
                    break
                except OSError:
                    pass
        one, other = socket.socketpair()
        usual = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
        print(one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == usual)
        asyncio.run(asyncio.sleep(0)); print('asyncio works')
        """,
    )
    assert ran.stdout == "AF_UNIX\nTrue\nasyncio works\n", ran


@needs_bubblewrap
def test_files_that_the_command_closed_to_itself_come_back_all_the_same(box: Sandbox, folder: Path) -> None:
    program = "import os; os.mkdir('out'); open('out/a', 'w').write('x'); os.chmod('out/a', 0); os.chmod('out', 0)"
    assert attack(box, folder, program, writable=("out",)).ok
    assert (folder / "out" / "a").read_text() == "x"


@needs_bubblewrap
def test_no_socket_is_reached_on_loopback_or_outside(box: Sandbox, folder: Path) -> None:
    abstract = f"\0cavesson-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(abstract)
        local.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass
        ran = attack(
            box,
            folder,
            f"""
            import socket
            for family, address in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET, ('1.1.1.1', 53)),
                                    (socket.AF_INET, ('169.254.169.254', 80)), (socket.AF_UNIX, {abstract!r})):
                try:
                    s = socket.socket(family)
                    s.settimeout(2)
                    s.connect(address)
                    print('REACHED', address)
                except OSError as error:
                    print('refused')
            """,
        )
    assert ran.stdout == "refused\n" * 4, ran


@needs_bubblewrap
def test_no_further_namespace_and_no_rights(box: Sandbox, folder: Path) -> None:
    ran = box.run(["sh", "-c", "unshare --user --map-root-user true && echo GOT IT; grep CapEff /proc/self/status"],
                  folder, SMALL)  # fmt: skip
    assert "GOT IT" not in ran.stdout and "CapEff:\t0000000000000000" in ran.stdout, ran


@needs_bubblewrap
def test_the_environment_does_not_come_along(box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "SECRET")
    ran = box.run(["sh", "-c", "env; cat /proc/*/environ"], folder, SMALL)
    assert "PYTHONHASHSEED" in ran.stdout and "SECRET" not in ran.stdout


@needs_bubblewrap
def test_links_and_special_files_do_not_come_back(box: Sandbox, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "old").write_text("old")
    ran = attack(
        box,
        folder,
        """
        import os
        os.symlink('/etc/passwd', 'out/results.json')
        os.symlink('/etc', 'out/etc')
        os.mkfifo('out/pipe')
        open('out/fine', 'w').write('fine')
        """,
        writable=("out",),
    )
    assert ran.ok, ran
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["fine", "old"]


@needs_bubblewrap
def test_a_folder_that_became_a_link_does_not_lead_out(box: Sandbox, folder: Path) -> None:
    (folder / "out").mkdir()
    attack(box, folder, "import os; os.rmdir('out'); os.symlink('/usr', 'out')", writable=("out",))
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "out/../../x", "other"])
def test_a_forged_answer_writes_nowhere_else(folder: Path, name: str) -> None:
    with pytest.raises(SandboxError):
        bring_back(f'{{"path": "{name}", "size": 1}}\nx'.encode(), ["out"], folder)
    assert sorted(path.name for path in folder.parent.rglob("*")) == ["data.txt", "workspace"]


@needs_bubblewrap
@pytest.mark.parametrize("writable", ["../x", "/etc"])
def test_nothing_outside_the_folder_can_be_asked_for(box: Sandbox, folder: Path, writable: str) -> None:
    with pytest.raises(ConfigError, match="leads out"):
        box.run(["true"], folder, SMALL, writable=(writable,))


@needs_bubblewrap
def test_an_archive_bomb_fills_no_disk(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        """
        import io, tarfile, zipfile
        with zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as bomb:
            for n in range(64):
                bomb.writestr(f'zeros{n}', bytes(1 << 20))
        assert __import__('os').stat('bomb.zip').st_size < 200_000
        zipfile.ZipFile('bomb.zip').extractall('.')
        print('GOT IT')
        """,
    )
    assert not ran.ok and "GOT IT" not in ran.stdout
    assert not ran.stderr or "No space left" in ran.stderr


# ----------------------------------------------------------------------------------------------- what is shown


@needs_bubblewrap
def test_what_a_run_printed_cannot_drive_a_terminal(box: Sandbox, folder: Path) -> None:
    ran = attack(
        box,
        folder,
        r"import sys; sys.stdout.buffer.write(b'\x1b[31mred\x1b[0m \xff\x1b]0;x\x07'); sys.exit('\x1b[5mbad')",
    )
    assert ran.stdout == "␛[31mred␛[0m \ufffd␛]0;x␇" and ran.stderr == "␛[5mbad\n" and "\x1b" not in ran.why()


# ----------------------------------------------------------------------------------------------- without a sandbox


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"apt install bubblewrap.*--unsafe-no-sandbox") as error:
        find_sandbox()
    assert error.value.exit_code == 2
    assert isinstance(find_sandbox(unsafe=True), UnsafeSandbox)


@needs_bubblewrap
def test_a_sandbox_that_cannot_start_says_so(folder: Path, tmp_path: Path) -> None:
    from cavesson.audit.sandbox.bubblewrap import BubblewrapSandbox

    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxError, match=r"No permissions(.|\n)*user namespaces"):
        BubblewrapSandbox(str(broken)).run(["true"], folder, SMALL)


def test_unsafe_runs_keep_the_limits_that_can_be_kept(folder: Path) -> None:
    box = UnsafeSandbox()
    fine = box.run(["python", "-c", "open('new', 'w').write('x'); print('hi')"], folder, SMALL, writable=("new",))
    assert fine.ok and fine.stdout == "hi\n" and (folder / "new").read_text() == "x"
    assert box.run(["sh", "-c", "sleep 60 & wait"], folder, Limits(wall_s=0.3)).killed_for == "wall"
    assert box.run(["yes"], folder, SMALL).killed_for == "output"


@pytest.mark.parametrize("field", ["cpu_s", "wall_s", "memory_mb", "processes", "output_bytes", "disk_mb"])
def test_limits_are_numbers_above_zero(field: str) -> None:
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=field):
            Limits(**{field: bad})


def _running(mark: str) -> bool:
    return any(mark.encode() in _read(path).split(b"\0")[0] for path in Path("/proc").glob("[0-9]*/cmdline"))


def _wait(condition: object, seconds: float = 10.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
