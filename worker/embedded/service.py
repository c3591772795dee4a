"""One run of `kabar up`: what is started, in which order, and what ends it."""

import asyncio
import contextlib
import os
import shutil
import signal
import site
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path

import worker
from worker import notify
from worker.embedded import broker, lock
from worker.embedded.child import ChildSpec
from worker.embedded.errors import StartError
from worker.embedded.groups import Groups
from worker.embedded.output import Output
from worker.embedded.supervisor import Supervisor
from worker.settings import Settings

_WORKERS = {"control": ("control",), "io": ("io",), "cpu": ("cpu", "translate")}
_NAMES = ("broker", "beat", *_WORKERS, "web")
_STOP_ORDER = (("web",), ("beat",), tuple(_WORKERS), ("broker",))
_QUIT_SECONDS = 5.0
_PYTHON = (sys.executable, "-P", "-m")
"""The children do not look into the directory where the user stands, lest a `worker` or `celery`
there be taken for ours."""
_SOCKET_PATH_BYTES = 103
"""What fits into the address of a Unix socket everywhere (macOS: 104 with the final zero)."""


async def serve(settings: Settings, *, timings: bool) -> int:
    """Run the service; returns the exit code. Raises `StartError`."""
    signals = _Signals()
    lock_fd = await lock.acquire(settings.data_dir)
    output = Output(sys.stderr.fileno(), _NAMES)
    try:
        with _run_dir(settings.data_dir) as run_dir:
            groups = Groups(lock_fd, lambda text: output.line("kabar", text.encode()))
            supervisor = Supervisor(run_dir, groups, output, signals.hurry)
            service = _Service(settings, groups, supervisor, timings=timings)
            await _until_asked(service, signals)
    finally:
        output.close()
        os.close(lock_fd)
    return signals.exit_code


class _Signals:
    """What the user has asked for so far."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self.exit_code = 0
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGTERM, self.asked.set)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored under `nohup`
            loop.add_signal_handler(signal.SIGHUP, self.asked.set)

    def _interrupt(self) -> None:
        if self.asked.is_set():
            self.hurry.set()
        else:
            self.exit_code = 128 + signal.SIGINT
            self.asked.set()


async def _until_asked(service: "_Service", signals: _Signals) -> None:
    running = asyncio.create_task(service.run())
    asked = asyncio.create_task(signals.asked.wait())
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        # From here on a single Ctrl-C means: at once.
        signals.asked.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.stop()


class _Service:
    def __init__(
        self, settings: Settings, groups: Groups, supervisor: Supervisor, *, timings: bool
    ) -> None:
        self._settings = settings
        self._data_dir = settings.data_dir.absolute()
        self._environ = _environ(self._data_dir)
        self._groups = groups
        self._supervisor = supervisor
        self._timings = timings
        self._steps: dict[str, float] = {}

    async def run(self) -> None:
        """Start everything, then watch it until cancelled. Raises `StartError`."""
        self._mark("lock")
        await self._groups.start()
        await _side_by_side(self._open_broker(), self._open_store())
        port = self._settings.web.port or broker.free_port()
        self._environ["KABAR_WEB__PORT"] = str(port)
        await self._supervisor.start(self._specs(), self._mark)
        self._announce(port)
        await self._supervisor.watch()

    async def stop(self) -> None:
        """End what runs, in order."""
        notify.stopping()
        if self._supervisor.pids():
            self._supervisor.say("stopping; Ctrl-C ends it at once")
        await self._supervisor.stop(_STOP_ORDER)
        await self._groups.close()

    async def _open_broker(self) -> None:
        if url := self._settings.broker.url:
            await broker.check(url)
        else:
            valkey = await broker.prepare(broker.directory_in(self._data_dir))
            await self._supervisor.start([valkey.spec(self._environ)])
            self._environ["KABAR_BROKER__URL_FILE"] = str(valkey.url_file)
            self._environ.pop("KABAR_BROKER__URL", None)
        self._mark("broker")

    async def _open_store(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._groups.guarded((*_PYTHON, "worker.embedded.migrate")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environ,
            start_new_session=True,
            pass_fds=(self._groups.fd,),
        )
        try:
            _, errors = await process.communicate()
        except asyncio.CancelledError:
            process.kill()  # it works in one transaction
            raise
        finally:
            self._groups.discard(process.pid)
        lines = errors.decode(errors="replace").strip().splitlines()
        problem = lines.pop() if process.returncode and lines else "the store cannot be opened"
        for line in lines:
            self._supervisor.say(line)
        if process.returncode:
            raise StartError(problem)
        self._mark("migrate")

    def _specs(self) -> Iterator[ChildSpec]:
        kabar = (*_PYTHON, "worker")
        ladder = (
            (signal.SIGTERM, self._settings.workers.stop_seconds),
            (signal.SIGQUIT, _QUIT_SECONDS),
        )
        for name, roles in _WORKERS.items():
            options = [word for role in roles for word in ("--role", role)]
            yield ChildSpec(name, (*kabar, "worker", *options), self._environ, ladder)
        yield ChildSpec("beat", (*kabar, "beat"), self._environ)
        yield ChildSpec("web", (*kabar, "web"), self._environ)

    def _announce(self, port: int) -> None:
        self._mark("all ready")
        notify.ready()
        host = self._settings.web.host
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._supervisor.say(f"ready in {self._steps['all ready']:.1f} s: {url}")
        if self._timings:
            self._print_timings()

    def _print_timings(self) -> None:
        from worker.embedded.timings import tables

        own = (os.getpid(), self._groups.pid)
        for line in tables(self._steps, self._supervisor.pids(), own=own).splitlines():
            self._supervisor.say(line)

    def _mark(self, step: str) -> None:
        self._steps[step] = _since_command()


async def _side_by_side(*steps: Coroutine[None, None, None]) -> None:
    """Like `asyncio.gather`, but when one fails none goes on behind our back."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _environ(data_dir: Path) -> dict[str, str]:
    """Ours, and what the children need beside it."""
    environ = {**os.environ, "KABAR_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    home = Path(worker.__file__).parents[1]
    if str(home) not in (*site.getsitepackages(), site.getusersitepackages()):
        # Run from a checkout, which `-P` hides from the children.
        environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(home), environ.get("PYTHONPATH")])
        )
    return environ


@contextlib.contextmanager
def _run_dir(data_dir: Path) -> Iterator[Path]:
    """Where the sockets lie on which the children say that they are ready."""
    run_dir = data_dir.absolute() / "run"
    longest = max(len(os.fsencode(run_dir / f"{name}.sock")) for name in _NAMES)
    if longest <= _SOCKET_PATH_BYTES:
        run_dir.mkdir(mode=0o700, exist_ok=True)
        yield run_dir
        return
    # The system's own: a TMPDIR may be as long as the path that it is to replace.
    run_dir = Path(tempfile.mkdtemp(prefix="kabar-", dir="/tmp"))
    try:
        yield run_dir
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


def _since_command() -> float:
    """Seconds since this process was started, the interpreter and its imports included.

    Within 10 ms, the kernel's clock tick.
    """
    if sys.platform == "linux":
        # Not psutil's `create_time`: that rests on a boot time in whole seconds.
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    import psutil

    return time.time() - float(psutil.Process().create_time())
