"""The process groups that must not outlive this process, kept in step with `reaper.py`."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

_REAPER = Path(__file__).with_name("reaper.py")
_GUARD = Path(__file__).with_name("guard.py")
_ENDS_WITHIN_SECONDS = 3.0
_PAUSE_SECONDS = 1.0
_BARE_PYTHON = (sys.executable, "-I", "-S", "-E")


class Groups:
    """Tells the reaper what to kill; starts another one when it ends before us.

    `say` gets a line for people when that happens. `lock_fd` is lent to the reaper.
    """

    def __init__(self, lock_fd: int, say: Callable[[str], None]) -> None:
        self._lock_fd = lock_fd
        self._say = say
        self._groups: set[int] = set()
        self._fd = -1
        self._watch: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closing = False

    @property
    def pid(self) -> int:
        """The reaper's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def fd(self) -> int:
        """The end of the pipe that a guarded process needs."""
        return self._fd

    def guarded(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """`argv` run by the guard; its process must inherit `fd` and lead its own session."""
        return (*_BARE_PYTHON, str(_GUARD), str(os.getpid()), str(self._fd), *argv)

    async def start(self) -> None:
        """Start the reaper; call it from the main thread."""
        await self._start_reaper()
        self._watch = asyncio.create_task(self._replace_when_gone())

    def add(self, group: int) -> None:
        """`group` lives (its guard has told the reaper too; twice is once)."""
        self._groups.add(group)
        self._tell(b"+%d\n" % group)

    def discard(self, group: int) -> None:
        """Nothing of `group` is left; its number may now be given to another's process."""
        self._groups.discard(group)
        self._tell(b"-%d\n" % group)

    async def close(self) -> None:
        """Let the reaper kill whatever is still registered, and end."""
        self._closing = True
        if self._watch is None:
            return
        os.close(self._fd)
        await asyncio.wait({self._watch}, timeout=_ENDS_WITHIN_SECONDS)
        self._kill_reaper()
        await self._watch

    async def _start_reaper(self) -> None:
        read_end, fd = os.pipe()
        os.set_blocking(fd, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(*_BARE_PYTHON, str(_REAPER)),
                stdin=read_end,
                # It must not keep its caller's pipes open after we are gone.
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(self._lock_fd,),
            )
        except BaseException:
            os.close(fd)
            raise
        finally:
            os.close(read_end)
        former, self._fd = self._fd, fd
        if former >= 0:
            os.close(former)
        for group in self._groups:
            self._tell(b"+%d\n" % group)

    async def _replace_when_gone(self) -> None:
        assert self._process is not None
        while True:
            await self._process.wait()
            if self._closing:
                return
            self._say("the reaper ended; another one starts")
            try:
                await self._start_reaper()
            except OSError as error:  # too many processes, no memory: that may pass
                self._say(f"the reaper could not be started: {error.strerror}")
                await asyncio.sleep(_PAUSE_SECONDS)

    def _tell(self, line: bytes) -> None:
        try:
            os.write(self._fd, line)
        except (BrokenPipeError, BlockingIOError):
            # Gone or frozen: the next reaper is told of every group when it starts.
            self._kill_reaper()

    def _kill_reaper(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
