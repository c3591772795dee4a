"""One process of ours: started, watched until it is ready, stopped by degrees, cleared away."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.embedded import reaper
from worker.embedded.groups import Groups
from worker.embedded.output import Lines, Output

_CHUNK_BYTES = 65_536
_GONE_WITHIN_SECONDS = 2.0
_OUTPUT_ENDS_WITHIN_SECONDS = 1.0

Probe = Callable[[int], Awaitable[None]]
"""Returns once the process with this id works; an error is one of the start."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run, and how it says that it is ready and is asked to end.

    `stop` is a ladder of signals with the seconds that each is given; after the last the whole
    process group is killed. Without a `probe` the process says READY=1 as in `sd_notify(3)`.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 5.0),)
    probe: Probe | None = None
    stdin: Path = Path(os.devnull)


@dataclass(frozen=True)
class Life:
    """One run of a child from start to end."""

    seconds: float
    end: str


class Child:
    """Lives again and again; each life is one call of `live`.

    `ready` is set while it works, `was_ready` once it has ever worked. Setting `stop_asked` walks
    down the ladder; setting `hurry` (shared by all) kills at once.
    """

    def __init__(
        self, spec: ChildSpec, run_dir: Path, groups: Groups, output: Output, hurry: asyncio.Event
    ) -> None:
        self.name = spec.name
        self.ready = asyncio.Event()
        self.was_ready = False
        self.stop_asked = asyncio.Event()
        self.pid: int | None = None
        self._spec = spec
        self._groups = groups
        self._output = output
        self._hurry = hurry
        self._notify_path = run_dir / f"{spec.name}.sock"

    async def live(self) -> Life:
        """Start the process; return when it has ended and nothing of its group is left.

        Raises what the probe raises, after clearing up.
        """
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            try:
                channel = stack.enter_context(_notify_socket(self._notify_path))
                process, reading = await self._spawn()
            except OSError as error:
                return Life(0.0, f"could not be started ({error.strerror})")
            try:
                await self._until_end(process, channel)
            finally:
                self.ready.clear()
                self.pid = None
                await self._clear(process, reading)
        return Life(time.monotonic() - started, _describe(process.returncode))

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        # A pipe of our own: with asyncio's, `wait` would last until every pool process that
        # inherited it has ended too.
        stdin = os.open(self._spec.stdin, os.O_RDONLY)
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._groups.guarded(self._spec.argv),
                stdin=stdin,
                stdout=write_end,
                stderr=write_end,
                env={**self._spec.env, "NOTIFY_SOCKET": str(self._notify_path)},
                start_new_session=True,  # so that Ctrl-C is ours alone
                pass_fds=(self._groups.fd,),
            )
        except OSError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
            os.close(stdin)
        self.pid = process.pid
        self._groups.add(process.pid)
        return process, asyncio.create_task(self._read(read_end))

    async def _until_end(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        ended = asyncio.create_task(process.wait())
        asked = asyncio.create_task(self.stop_asked.wait())
        becoming = asyncio.create_task(self._become_ready(process.pid, channel))
        try:
            await asyncio.wait({ended, asked, becoming}, return_when=asyncio.FIRST_COMPLETED)
            if becoming.done():
                becoming.result()
                await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._descend(process, ended)
        finally:
            for task in (ended, asked, becoming):
                task.cancel()

    async def _become_ready(self, pid: int, channel: socket.socket) -> None:
        await (self._spec.probe(pid) if self._spec.probe else _told_ready(channel))
        self.ready.set()
        self.was_ready = True

    async def _descend(
        self, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]"
    ) -> None:
        hurried = asyncio.create_task(self._hurry.wait())
        for number, seconds in self._spec.stop:
            if ended.done() or hurried.done():
                break
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            await asyncio.wait(
                {ended, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        hurried.cancel()
        reaper.kill(process.pid)
        await asyncio.wait({ended}, timeout=_GONE_WITHIN_SECONDS)

    async def _clear(
        self, process: asyncio.subprocess.Process, reading: "asyncio.Task[None]"
    ) -> None:
        """Pool processes outlive a main process that was killed; two generations never meet."""
        deadline = time.monotonic() + _GONE_WITHIN_SECONDS
        while reaper.kill(process.pid) and time.monotonic() < deadline:
            if process.returncode is not None:
                _bury(process.pid)
            await asyncio.sleep(0.01)
        self._groups.discard(process.pid)
        await asyncio.wait({reading}, timeout=_OUTPUT_ENDS_WITHIN_SECONDS)
        reading.cancel()

    async def _read(self, read_end: int) -> None:
        lines = Lines()
        reader = asyncio.StreamReader(limit=_CHUNK_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                for line in lines.feed(chunk):
                    self._output.line(self.name, line)
        finally:
            for line in lines.end():
                self._output.line(self.name, line)
            transport.close()


@contextlib.contextmanager
def _notify_socket(path: Path) -> Iterator[socket.socket]:
    """A socket of its own for each life, so that no message of the one before is in it."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.bind(str(path))
        try:
            yield channel
        finally:
            path.unlink(missing_ok=True)


async def _told_ready(channel: socket.socket) -> None:
    while True:
        message = (await asyncio.get_running_loop().sock_recv(channel, 4096)).split(b"\n")
        if b"READY=1" in message:
            return


def _bury(group: int) -> None:
    """As process 1 of a container we inherit the orphans, and nobody else waits for them."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-group, os.WNOHANG)


def _describe(returncode: int | None) -> str:
    if returncode is None:
        return "does not end"
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
