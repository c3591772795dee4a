import asyncio
import threading
from collections.abc import Iterator

import pytest

from worker.store.groups import Groups, commit_in_groups

NEVER = 600.0  # seconds between groups where only the size is to count


class Commits:
    """What was committed, group by group."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.threads: set[int] = set()

    def __call__(self, group: list[int]) -> None:
        self.threads.add(threading.get_ident())
        self.groups.append(group)

    async def hold(self, number: int) -> None:
        """Wait until `number` outcomes are committed."""
        async with asyncio.timeout(30):
            while sum(map(len, self.groups)) < number:
                await asyncio.sleep(0.01)


def test_a_group_is_committed_as_soon_as_it_is_full() -> None:
    commits = Commits()

    async def work() -> None:
        async with Groups(commits, seconds=NEVER, size=3) as groups:
            for number in range(3):
                groups.add(number)
            await commits.hold(3)
            groups.add(3)
            assert commits.groups == [[0, 1, 2]]

    asyncio.run(work())
    assert commits.groups == [[0, 1, 2], [3]]


def test_a_group_is_committed_after_a_while() -> None:
    commits = Commits()

    async def work() -> None:
        async with Groups(commits, seconds=0.05, size=1_000) as groups:
            groups.add(1)
            await commits.hold(1)
            groups.add(2)
            await commits.hold(2)

    asyncio.run(work())
    assert commits.groups == [[1], [2]]


def test_what_hangs_does_not_delay_the_others() -> None:
    commits = Commits()

    async def work() -> None:
        async with Groups(commits, seconds=0.05) as groups:
            hanging = asyncio.create_task(asyncio.Event().wait())
            for number in range(20):
                groups.add(number)
            await commits.hold(20)
            assert not hanging.done()
            hanging.cancel()

    asyncio.run(work())


def test_the_rest_is_committed_at_the_end() -> None:
    commits = Commits()

    async def work() -> None:
        async with Groups(commits, seconds=NEVER) as groups:
            groups.add(1)

    asyncio.run(work())
    assert commits.groups == [[1]]


def test_without_outcomes_nothing_is_committed() -> None:
    commits = Commits()

    async def work() -> None:
        async with Groups(commits, seconds=0.01):
            await asyncio.sleep(0.1)

    asyncio.run(work())
    assert commits.groups == []


def test_commits_run_off_the_event_loop_and_one_at_a_time() -> None:
    commits = Commits()
    running = threading.Lock()

    def commit(group: list[int]) -> None:
        assert running.acquire(blocking=False)
        try:
            threading.Event().wait(0.02)
            commits(group)
        finally:
            running.release()

    async def work() -> None:
        async with Groups(commit, seconds=0.01, size=2) as groups:
            for number in range(20):
                groups.add(number)
                await asyncio.sleep(0.005)

    asyncio.run(work())
    assert [number for group in commits.groups for number in group] == list(range(20))
    assert len(commits.groups) > 1
    assert threading.get_ident() not in commits.threads


@pytest.mark.parametrize("seconds", [0.01, NEVER])
def test_an_error_of_a_commit_ends_the_block_with_it(seconds: float) -> None:
    def commit(group: list[int]) -> None:
        raise ConnectionError("no store")

    async def work() -> None:
        async with Groups(commit, seconds=seconds) as groups:
            groups.add(1)
            await asyncio.sleep(0.05)

    with pytest.raises(ConnectionError, match="no store"):
        asyncio.run(work())


def test_an_error_in_the_block_loses_no_outcome() -> None:
    commits = Commits()

    async def work() -> None:
        async with Groups(commits, seconds=NEVER) as groups:
            groups.add(1)
            raise LookupError("in the block")

    with pytest.raises(LookupError, match="in the block"):
        asyncio.run(work())
    assert commits.groups == [[1]]


class TestWithoutALoop:
    @pytest.mark.parametrize(
        ("seconds", "size", "groups"),
        [
            (NEVER, 2, [[0, 1], [2, 3], [4]]),
            (NEVER, 5, [[0, 1, 2, 3, 4]]),
            (0.0, 5, [[0], [1], [2], [3], [4]]),
        ],
    )
    def test_a_group_is_committed_when_it_is_full_or_old_or_the_last(
        self, seconds: float, size: int, groups: list[list[int]]
    ) -> None:
        commits = Commits()
        commit_in_groups(range(5), commits, seconds=seconds, size=size)
        assert commits.groups == groups

    def test_nothing_is_no_group(self) -> None:
        commits = Commits()
        commit_in_groups([], commits)
        assert commits.groups == []

    def test_what_was_made_before_an_error_is_committed(self) -> None:
        def outcomes() -> Iterator[int]:
            yield from range(3)
            raise ZeroDivisionError

        commits = Commits()
        with pytest.raises(ZeroDivisionError):
            commit_in_groups(outcomes(), commits, seconds=NEVER, size=2)
        assert commits.groups == [[0, 1], [2]]

    def test_a_group_that_cannot_be_committed_is_tried_once(self) -> None:
        tried = []

        def commit(group: list[int]) -> None:
            tried.append(group)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            commit_in_groups(range(5), commit, seconds=NEVER, size=2)
        assert tried == [[0, 1]]
