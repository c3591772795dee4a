"""One `kabar up` a data directory."""

import asyncio
import fcntl
import os
from pathlib import Path

from worker.embedded.errors import StartError

_NAME = "kabar.lock"
_PREDECESSOR_SECONDS = 5.0


async def acquire(data_dir: Path) -> int:
    """Create `data_dir` and lock it; returns the lock's file descriptor, which keeps it.

    The file holds the owner's process id and is never removed: a lock on an unlinked file would
    exclude nobody. Waits a little for what is left of a `kabar up` that was killed. Raises
    `StartError` when the directory cannot be written or is in use.
    """
    fd = _open(data_dir)
    try:
        await _lock(fd, data_dir)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open(data_dir: Path) -> int:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(data_dir / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"the data directory {data_dir} cannot be written ({error.strerror}); "
            "choose another one with KABAR_DATA_DIR"
        ) from None


async def _lock(fd: int, data_dir: Path) -> None:
    deadline = asyncio.get_running_loop().time() + _PREDECESSOR_SECONDS
    while not _try(fd, data_dir):
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip()
        if _lives(owner) or asyncio.get_running_loop().time() > deadline:
            raise StartError(
                f"the data directory {data_dir} is in use by process {owner or 'unknown'} "
                "(`kabar up`); end that one, or choose another directory with KABAR_DATA_DIR"
            )
        # Its owner was killed, and its reaper (which shares the lock) is still at work.
        await asyncio.sleep(0.05)


def _try(fd: int, data_dir: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StartError(
            f"the data directory {data_dir} cannot be locked ({error.strerror}); "
            "choose one on a local disk with KABAR_DATA_DIR"
        ) from None
    return True


def _lives(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
