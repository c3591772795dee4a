"""Group commit: outcomes are stored as they finish, a group at a time (design, invariant 3)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from types import TracebackType
from typing import Generic, TypeVar

Outcome = TypeVar("Outcome")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_SECONDS = 0.2
_SIZE = 50


def commit_in_groups(
    outcomes: Iterable[Outcome],
    commit: Callable[[list[Outcome]], None],
    *,
    seconds: float = _SECONDS,
    size: int = _SIZE,
) -> None:
    """Hand `outcomes` to `commit` in groups: when one holds `size`, is `seconds` old, or is last.

    When making one of them raises, those before it are committed first.
    """
    group: list[Outcome] = []
    due = time.monotonic() + seconds
    try:
        for outcome in outcomes:
            group.append(outcome)
            if len(group) >= size or time.monotonic() >= due:
                full, group = group, []
                commit(full)
                due = time.monotonic() + seconds
    finally:
        if group:
            commit(group)


def commit_alongside(outcomes: Iterable[Outcome], commit: Callable[[list[Outcome]], None]) -> None:
    """Hand `outcomes` to `commit` as they come, in a thread, while the next ones are made.

    What comes during a commit makes up the next group. When making one of them raises, those before
    it are committed first; an error of `commit` costs its own group, and is raised at the end, with
    that of the making for its context.
    """
    waiting: deque[Outcome] = deque()

    def flush() -> None:
        if group := [waiting.popleft() for _ in range(len(waiting))]:
            commit(group)

    flushes = []
    try:
        with ThreadPoolExecutor(1, "commits") as committer:
            for outcome in outcomes:
                waiting.append(outcome)
                flushes.append(committer.submit(flush))
    finally:
        for flushed in flushes:
            flushed.result()


class Groups(AbstractAsyncContextManager["Groups[Outcome]"], Generic[Outcome]):
    """Collects outcomes on an event loop and hands them to `commit` in groups, off the loop.

    A group is committed every `seconds`, or as soon as it holds `size`; `commit` runs in a thread,
    one at a time. Whatever is left is committed when the block ends. An error of `commit` costs its
    own group; the first one is raised when the block ends.
    """

    def __init__(
        self,
        commit: Callable[[list[Outcome]], None],
        *,
        seconds: float = _SECONDS,
        size: int = _SIZE,
    ) -> None:
        self._commit = commit
        self._seconds = seconds
        self._size = size
        self._outcomes: list[Outcome] = []
        self._filled = asyncio.Event()
        self._closing = False
        self._error: Exception | None = None

    def add(self, outcome: Outcome) -> None:
        """Take an outcome, to be committed with the next group."""
        self._outcomes.append(outcome)
        if len(self._outcomes) >= self._size:
            self._filled.set()

    async def __aenter__(self) -> "Groups[Outcome]":
        self._committer = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._filled.set()
        await self._committer
        if self._error and error is None:
            raise self._error

    async def _run(self) -> None:
        while not self._closing:
            await self._wait()
            await self._flush()
        await self._flush()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._filled.wait(), self._seconds)
        except TimeoutError:
            return
        finally:
            self._filled.clear()

    async def _flush(self) -> None:
        while self._outcomes:
            group, self._outcomes = self._outcomes, []
            try:
                await asyncio.to_thread(self._commit, group)
            except Exception as error:  # noqa: BLE001 - raised at the end
                self._error = self._error or error


class Joint(AbstractAsyncContextManager["Joint[Asked, Answer]"], Generic[Asked, Answer]):
    """Has what several ask for at about the same time done by one call of `do`, off the loop.

    `do` runs in a thread, one at a time, on what was asked since. It starts when the first who asks
    has waited for `seconds`, or all do who have joined: but for those that have not asked for ten
    times as long, whose own work takes its time. It returns an answer for each key. If it fails,
    what each asked for is done alone, and who it still fails for is raised the error.
    """

    def __init__(
        self, do: Callable[[Mapping[int, Asked]], Mapping[int, Answer]], *, seconds: float
    ) -> None:
        self._do = do
        self._seconds = seconds
        self._busy: dict[int, float] = {}  # since when
        self._asked: dict[int, tuple[Asked, asyncio.Future[Answer]]] = {}
        self._came = asyncio.Event()
        self._complete = asyncio.Event()

    @contextmanager
    def joined(self, key: int) -> Iterator[None]:
        """While in this block one may ask, and is waited for by the others."""
        self._busy[key] = time.monotonic()
        try:
            yield
        finally:
            del self._busy[key]
            self._look()

    async def ask(self, key: int, what: Asked) -> Answer:
        """What comes of `what`."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[key] = what, answer
        self._came.set()
        self._look()
        try:
            return await answer
        finally:
            self._busy[key] = time.monotonic()

    async def __aenter__(self) -> "Joint[Asked, Answer]":
        self._worker = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker

    def _look(self) -> None:
        quick = time.monotonic() - 10 * self._seconds
        if any(since > quick for key, since in self._busy.items() if key not in self._asked):
            self._complete.clear()
        else:
            self._complete.set()

    async def _run(self) -> None:
        while True:
            await self._came.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._complete.wait()
            asked, self._asked = self._asked, {}
            self._came.clear()
            self._look()
            await self._answer(asked)

    async def _answer(self, asked: Mapping[int, tuple[Asked, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await asyncio.to_thread(self._do, {key: one[0] for key, one in asked.items()})
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            for key, one in asked.items():
                if len(asked) > 1:
                    await self._answer({key: one})
                elif not one[1].done():
                    one[1].set_exception(error)
            return
        for key, (_, answer) in asked.items():
            if not answer.done():
                answer.set_result(answers[key])
