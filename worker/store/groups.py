"""Group commit: outcomes are stored as they finish, a group at a time (design, invariant 3)."""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

Outcome = TypeVar("Outcome")

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
