"""The web service on loopback, in this process: on an event loop in a thread of its own."""

import asyncio
import socket
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType

from aiohttp import web as aiohttp_web

from worker import web
from worker.settings import Settings


class Service:
    """Serves on the bound socket `listener` while used as a context manager.

    `woken` are the stages that it woke; they are passed on to `wake`.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        wake: Callable[[str], object] | None = None,
    ) -> None:
        self.woken: SimpleQueue[str] = SimpleQueue()
        self._settings = settings
        self._listener = listener
        self._pass_on = wake
        self._started = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()))
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event

    def __enter__(self) -> "Service":
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://{host}:{port}"

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.make_app(self._settings, self._wake)
        runner = aiohttp_web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await aiohttp_web.SockSite(runner, self._listener).start()
        self._started.set()
        await self._end.wait()
        await runner.cleanup()

    def _wake(self, stage: str) -> None:
        if self._pass_on:
            self._pass_on(stage)
        self.woken.put(stage)
