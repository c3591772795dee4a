"""Kills the process groups that a dead `kabar up` has left.

    python -I -S -E reaper.py

Standard input is a pipe of lines `+GROUP` and `-GROUP`. Its end means that `kabar up` is gone:
whatever is still registered is killed. Where the kernel tells children of their parent's death
(Linux, `guard.py`) this is the second net; elsewhere, and for a worker's pool processes, the first.

The reaper also holds the lock on the data directory (inherited, an `flock` belongs to the open
file): until the last of the old processes is gone, no new `kabar up` can begin beside it.
"""

import os
import signal
import sys
import time

_GONE_WITHIN_SECONDS = 3.0


def main() -> None:
    """Follow standard input to its end, then kill."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    groups = _follow()
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if kill(group)}
        time.sleep(0.01)


def _follow() -> set[int]:
    groups: set[int] = set()
    rest = b""
    while chunk := os.read(0, 4096):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"+"):
                groups.add(int(line[1:]))
            else:
                groups.discard(int(line[1:]))
    return groups


def kill(group: int) -> bool:
    """Kill all of a process group; whether anything of it still lives."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # the latter on macOS, of a group of zombies
        return False
    return sys.platform != "linux" or _lives(group)


def _lives(group: int) -> bool:
    """Not so when only zombies are left, which some inits bury seconds later."""
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - pathlib costs 10 ms
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                state, _, its_group = file.read().rpartition(b")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        if int(its_group) == group and state not in b"ZX":
            return True
    return False


if __name__ == "__main__":
    main()
