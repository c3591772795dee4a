"""Keeps children alive, and ends them in order."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from worker.embedded.child import Child, ChildSpec
from worker.embedded.errors import StartError
from worker.embedded.groups import Groups
from worker.embedded.output import Output

_FIRST_DELAY_SECONDS = 0.5
_LAST_DELAY_SECONDS = 30.0
_STEADY_SECONDS = 60.0
_ATTEMPTS = 5
_PATIENCE_SECONDS = 30.0


class Supervisor:
    """Starts children again when they end, until `stop`.

    Setting `hurry` makes `stop` kill instead of ask. `on_ready` is called with a child's name each
    time that it begins to work.
    """

    def __init__(self, run_dir: Path, groups: Groups, output: Output, hurry: asyncio.Event) -> None:
        self._run_dir = run_dir
        self._groups = groups
        self._output = output
        self._hurry = hurry
        self._stopping = asyncio.Event()
        self._kept: dict[Child, asyncio.Task[None]] = {}

    async def start(
        self, specs: Iterable[ChildSpec], on_ready: Callable[[str], None] = lambda name: None
    ) -> None:
        """Start all side by side; return when each of them works.

        Raises `StartError` when one of them has ended `_ATTEMPTS` times before it ever worked.
        """
        children = [
            Child(spec, self._run_dir, self._groups, self._output, self._hurry) for spec in specs
        ]
        self._kept |= {child: asyncio.create_task(self._keep(child)) for child in children}
        ready = [asyncio.create_task(_when_ready(child, on_ready)) for child in children]
        try:
            await self._until_all(ready, children)
        finally:
            for task in ready:
                task.cancel()

    async def watch(self) -> None:
        """Never return; raise what ends the service from within."""
        await asyncio.wait(self._kept.values(), return_when=asyncio.FIRST_COMPLETED)
        self._raise_failure()

    async def stop(self, order: Sequence[Collection[str]]) -> None:
        """End all: group after group, the children of one group side by side.

        From here on nothing is started again.
        """
        self._stopping.set()
        for names in order:
            ending = [child for child in self._kept if child.name in names]
            for child in ending:
                child.stop_asked.set()
            await asyncio.gather(*(self._kept[child] for child in ending), return_exceptions=True)

    def pids(self) -> dict[str, int]:
        """The main process of each child that runs."""
        return {child.name: child.pid for child in self._kept if child.pid is not None}

    async def _until_all(
        self, ready: Sequence["asyncio.Task[None]"], children: Sequence[Child]
    ) -> None:
        waiting = set(ready)
        while waiting:
            kept = {task for task in self._kept.values() if not task.done()}
            done, _ = await asyncio.wait(
                waiting | kept,
                timeout=_PATIENCE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._raise_failure()
            waiting -= done
            if not done:
                late = ", ".join(child.name for child in children if not child.was_ready)
                self.say(f"still waiting for {late}")

    def _raise_failure(self) -> None:
        for task in self._kept.values():
            if task.done():
                task.result()

    async def _keep(self, child: Child) -> None:
        delay = _FIRST_DELAY_SECONDS
        attempts = 0
        while not self._stopping.is_set():
            life = await child.live()
            if self._stopping.is_set():
                self.say(f"{child.name} {life.end}")
                return
            attempts += 1
            if not child.was_ready and attempts == _ATTEMPTS:
                raise StartError(
                    f"{child.name} cannot be started: it {life.end}, {attempts} times; "
                    "its own lines above say why"
                )
            if life.seconds >= _STEADY_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            self.say(f"{child.name} {life.end}; it starts again in {delay:g} s")
            await self._pause(delay)
            delay = min(2 * delay, _LAST_DELAY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def say(self, text: str) -> None:
        """A line of our own among those of the children."""
        self._output.line("kabar", text.encode())


async def _when_ready(child: Child, on_ready: Callable[[str], None]) -> None:
    await child.ready.wait()
    on_ready(child.name)
