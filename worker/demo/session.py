"""One run of the demo from start to end."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from worker.demo.agenda import Step, agenda
from worker.demo.ledger import Ledger
from worker.demo.newsroom import SITES, Newsroom
from worker.demo.receiver import Receiver
from worker.demo.screen import Screen
from worker.demo.service import Service
from worker.demo.translation import Translator, choose
from worker.embedded import StartError
from worker.store import StoreError
from worker.webhooks import generate_secret

_AT_ONCE = 2  # stories published without a pause, so that there is something to see
_SETTLE_SECONDS = 2.5  # in which a second alert for the same story would still come
_LOOK_SECONDS = 0.05
_LOG_LINES = 30


@dataclass(frozen=True)
class Options:
    """`stories` None: without end. `port_base` None: any free ports."""

    stories: int | None
    exit_after: bool
    seed: int
    deadline_seconds: float
    every_seconds: float
    port_base: int | None


class _FailedError(Exception):
    """The demo did not show what it is to show; the message says why."""


async def perform(options: Options) -> int:
    """Run the demo; returns the exit code."""
    signals = _Signals()
    screen = Screen()
    # /tmp rather than TMPDIR, which may be too long for the sockets in it.
    with tempfile.TemporaryDirectory(prefix="kabar-demo-", dir="/tmp") as directory:
        secret = generate_secret()
        newsroom = Newsroom(port=options.port_base or 0)
        receiver_port = options.port_base + len(SITES) if options.port_base else 0
        receiver = Receiver(secret, port=receiver_port)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(newsroom)
                await stack.enter_async_context(receiver)
            except OSError as error:
                screen.failure([f"cannot listen on loopback: {error.strerror or error}"])
                return 1
            translator = await _chosen(signals, screen, Path(directory))
            if translator is None:
                return screen.interrupted(is_failure=options.exit_after)
            service = Service(
                Path(directory),
                feeds=newsroom.feed_urls,
                endpoint=receiver.url,
                secret=secret,
                translator=translator,
                hurry=signals.hurry,
            )
            session = _Session(options, newsroom, receiver, service, screen)
            return await session.run(signals)


class _Signals:
    """Ctrl-C and SIGTERM; the second of them hurries."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ask)

    def _ask(self) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()


async def _chosen(signals: _Signals, screen: Screen, directory: Path) -> Translator | None:
    """What to translate with; None when the user wants an end before that is settled."""
    choosing = asyncio.create_task(choose(screen.say, directory))
    asked = asyncio.create_task(signals.asked.wait())
    try:
        await asyncio.wait((choosing, asked), return_when=asyncio.FIRST_COMPLETED)
        return choosing.result() if choosing.done() else None
    finally:
        choosing.cancel()
        asked.cancel()
        await asyncio.gather(choosing, asked, return_exceptions=True)


class _Session:
    def __init__(
        self,
        options: Options,
        newsroom: Newsroom,
        receiver: Receiver,
        service: Service,
        screen: Screen,
    ) -> None:
        self._options = options
        self._newsroom = newsroom
        self._receiver = receiver
        self._service = service
        self._screen = screen
        self._ledger = Ledger(lambda: newsroom.publications)
        self._ready_at: datetime | None = None
        self._began_at = datetime.now(UTC)
        self._doing = "starting"

    async def run(self, signals: _Signals) -> int:
        """Returns the exit code, after the service and all it has started have ended."""
        reason = None
        try:
            with self._screen.progress(self._progress):
                await self._run(signals)
        except _Interrupted:
            reason = "interrupted" if self._options.exit_after else None
        except TimeoutError:
            reason = f"not done within {self._options.deadline_seconds:g} s: {self._missing()}"
        except (_FailedError, StartError, StoreError) as error:
            reason = str(error)
        return self._close(reason)

    async def _run(self, signals: _Signals) -> None:
        async with _stopped_at_the_end(self._service):
            try:
                await _first(self._play(), self._show_alerts(), _raise_when(signals.asked))
            finally:
                self._doing = "stopping"

    async def _play(self) -> None:
        seconds = self._options.deadline_seconds if self._options.exit_after else None
        async with asyncio.timeout(seconds):
            self._screen.say("starting kabar up …")
            await self._service.start()
            self._ready_at = datetime.now(UTC)
            self._doing = "waiting for alerts"
            await _first(self._publish_and_wait(), self._service.watch())

    async def _publish_and_wait(self) -> None:
        for number, step in enumerate(agenda(self._options.seed, self._options.stories)):
            if number >= _AT_ONCE:
                share = 1.0 if step.act == "publish" else 0.5
                await asyncio.sleep(share * self._options.every_seconds)
            self._take(step)
        if not self._options.exit_after:
            await asyncio.Event().wait()
        while not self._done():  # noqa: ASYNC110 - what it looks at lies in two rooms
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(_SETTLE_SECONDS)

    def _take(self, step: Step) -> None:
        act = {
            "publish": self._newsroom.publish,
            "repeat": self._newsroom.repeat,
            "update": self._newsroom.update,
        }[step.act]
        act(step.article)
        self._screen.step(step)

    def _done(self) -> bool:
        """Each story alerted, and each repeat and update read by the worker."""
        publications = self._newsroom.publications
        seen = all(map(self._newsroom.seen, publications))
        return seen and len(self._ledger.arrivals) == self._options.stories

    async def _show_alerts(self) -> None:
        while True:
            arrival = self._ledger.add(await self._receiver.arrivals.get())
            if arrival:
                self._screen.alert(arrival)
            if self._options.exit_after and self._problems():
                raise _FailedError(self._problems()[0])

    def _progress(self) -> str:
        facts = [self._doing]
        if self._ready_at:
            stories = sum(item.repeats is None for item in self._newsroom.publications)
            alerts = len(self._ledger.arrivals)
            of = f" of {self._options.stories}" if self._options.stories else ""
            facts += [f"{alerts}{of} stories alerted", f"{stories - alerts} on their way"]
        seconds = (datetime.now(UTC) - self._began_at).total_seconds()
        return " · ".join([*facts, f"{seconds:.0f} s"])

    def _missing(self) -> str:
        alerts, stories = len(self._ledger.arrivals), self._options.stories
        if alerts == stories:
            return "the worker has not read every repeat and update"
        return f"{alerts} of {stories} alerts have come"

    def _problems(self) -> list[str]:
        return [*self._receiver.problems, *self._ledger.problems]

    def _close(self, reason: str | None) -> int:
        publications = self._newsroom.publications
        self._screen.closing(self._ledger, self._receiver, publications, self._ready_at)
        reasons = list(dict.fromkeys(filter(None, [*self._problems(), reason])))
        if not reasons:
            return 0
        self._screen.failure(reasons, self._service.last_lines(_LOG_LINES))
        return 1


class _Interrupted(Exception):  # noqa: N818 - not an error
    """The user wants it to end."""


async def _raise_when(asked: asyncio.Event) -> None:
    await asked.wait()
    raise _Interrupted


@asynccontextmanager
async def _stopped_at_the_end(service: Service) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await service.stop()


async def _first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run side by side until the first one ends; then cancel the others, and raise what it did."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
