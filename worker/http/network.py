"""This process's event loop, in a thread of its own, and the client that lives on it.

A task gives its batch to the loop and waits for it, but not for stragglers: a host that hangs for
half a minute must not keep a process from its next batch. What is left goes on here when the task
has ended; the batch's lease is what ends it for everybody else.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from worker import logs
from worker.http.client import Client
from worker.settings import HttpSettings

log = logs.get(__name__)

Result = TypeVar("Result")

_MOST_UNFINISHED = 8  # batches; with a hundred requests each, few processes may open more sockets
_THREADS = 32  # commits wait in them for the store, and documents are parsed
_ALIVE_SECONDS = 5.0
_CALL_SECONDS = 10.0


class Network:
    """The loop and its client. Made after a fork: a loop's thread does not survive one."""

    def __init__(self, settings: HttpSettings, *, patience: float) -> None:
        """`patience`: seconds that `run` waits for a batch."""
        self._patience = patience
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "network"))
        self._unfinished: set[Future[None]] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self.client = Client(settings)
        self.call(self.client.__aenter__())

    def run(self, batch: Coroutine[Any, Any, None]) -> None:
        """Do `batch`; return when it is done, or unfinished when patience is at its end.

        Raises what the batch raises meanwhile; later errors are logged. When the loop itself is
        stuck, this does not return before it moves: the task's time limit then ends the process.
        """
        future = asyncio.run_coroutine_threadsafe(self._track(batch), self._loop)
        self._unfinished.add(future)
        is_mine = bool(wait([future], self._patience).done) or not self._is_alive()
        if is_mine:
            self._unfinished.discard(future)
        while len(self._unfinished) >= _MOST_UNFINISHED:
            self._settle(wait(self._unfinished, return_when=FIRST_COMPLETED).done)
        self._settle({each for each in self._unfinished if each.done()})
        if is_mine:
            future.result()

    def call(self, work: Coroutine[Any, Any, Result], *, seconds: float = _CALL_SECONDS) -> Result:
        """What `work` returns or raises; for any thread but the loop's.

        Raises TimeoutError when it is not done after `seconds`.
        """
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def finish(self, seconds: float) -> None:
        """Wait for what is unfinished, at most for `seconds`; then cancel it."""
        if wait(self._unfinished, seconds).not_done:
            # Their tasks, not their futures: those would count as done before the clean-up is.
            self._loop.call_soon_threadsafe(self._cancel)
        self._settle(wait(self._unfinished, _ALIVE_SECONDS).done)

    def close(self, seconds: float = 0.0) -> None:
        """`finish`, then end the client and the loop."""
        self.finish(seconds)
        self.call(self.client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ALIVE_SECONDS)

    async def _track(self, batch: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._batches.add(task)
        try:
            await batch
        finally:
            self._batches.discard(task)

    def _cancel(self) -> None:
        for task in self._batches:
            task.cancel()

    def _is_alive(self) -> bool:
        moved = threading.Event()
        self._loop.call_soon_threadsafe(moved.set)
        return moved.wait(_ALIVE_SECONDS)

    def _settle(self, done: set[Future[None]]) -> None:
        for future in done:
            self._unfinished.discard(future)
            if not future.cancelled() and (error := future.exception()):
                log.error("a batch ended with an error", exc_info=error)
