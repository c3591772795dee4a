"""Servers of asyncio for tests that have no event loop of their own."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

Served = TypeVar("Served")


@contextmanager
def on_a_loop(server: AbstractAsyncContextManager[Served]) -> Iterator[Served]:
    """Hold `server` open during the block, on an event loop in a thread of its own."""
    opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Served]] = Future()

    async def serve() -> None:
        end = asyncio.Event()
        async with server as served:
            opened.set_result((asyncio.get_running_loop(), end, served))
            await end.wait()

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(lambda: asyncio.run(serve()))
        ended.add_done_callback(
            lambda done: opened.done() or opened.set_exception(done.exception())
        )
        loop, end, served = opened.result(30)
        try:
            yield served
        finally:
            loop.call_soon_threadsafe(end.set)
            ended.result()
