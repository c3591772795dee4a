"""The web service on loopback, in this process: on an event loop in a thread of its own."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from queue import SimpleQueue
from types import TracebackType

from aiohttp import web as aiohttp_web

from tests.servers.loop import on_a_loop
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
        self._open = ExitStack()

    def __enter__(self) -> "Service":
        self._open.enter_context(on_a_loop(self._served()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://{host}:{port}"

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        app = web.make_app(self._settings, self._wake)
        runner = aiohttp_web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await aiohttp_web.SockSite(runner, self._listener).start()
        yield
        await runner.cleanup()

    def _wake(self, stage: str) -> None:
        if self._pass_on:
            self._pass_on(stage)
        self.woken.put(stage)
