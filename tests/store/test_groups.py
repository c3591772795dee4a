import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial

import pytest

from tests.waiting import until
from worker.store.groups import Groups, Joint, commit_alongside, commit_in_groups

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


class TestAlongside:
    def test_what_is_there_is_committed_while_the_next_one_is_made(self) -> None:
        commits = Commits()

        def outcomes() -> Iterator[int]:
            yield from range(8)
            until(lambda: sum(map(len, commits.groups)) == 8, "the first eight are committed")
            yield 8

        commit_alongside(outcomes(), commits)
        assert [one for group in commits.groups for one in group] == list(range(9))
        assert len(commits.threads) == 1
        assert commits.threads != {threading.get_ident()}

    def test_what_comes_during_a_commit_makes_one_group(self) -> None:
        commits = Commits()
        go_on = threading.Event()

        def commit(group: list[int]) -> None:
            assert go_on.wait(30)
            commits(group)

        def outcomes() -> Iterator[int]:
            yield from range(50)
            go_on.set()

        commit_alongside(outcomes(), commit)
        assert [one for group in commits.groups for one in group] == list(range(50))
        assert len(commits.groups) <= 3

    def test_what_was_there_before_an_error_is_committed(self) -> None:
        commits = Commits()

        def outcomes() -> Iterator[int]:
            yield from range(3)
            raise RuntimeError("the fourth")

        with pytest.raises(RuntimeError, match="the fourth"):
            commit_alongside(outcomes(), commits)
        assert [one for group in commits.groups for one in group] == [0, 1, 2]

    def test_neither_of_two_errors_is_lost(self) -> None:
        def outcomes() -> Iterator[int]:
            yield 1
            raise RuntimeError("the second")

        def commit(group: list[int]) -> None:
            raise ValueError(f"no room for {group}")

        with pytest.raises(ValueError, match="no room") as caught:
            commit_alongside(outcomes(), commit)
        assert str(caught.value.__context__) == "the second"

    def test_an_error_of_a_commit_costs_its_group_alone(self) -> None:
        commits = Commits()
        failed = threading.Event()

        def commit(group: list[int]) -> None:
            if 0 in group:
                failed.set()
                raise ConnectionError("gone")
            commits(group)

        def outcomes() -> Iterator[int]:
            yield 0
            assert failed.wait(30)
            yield 1

        with pytest.raises(ConnectionError, match="gone"):
            commit_alongside(outcomes(), commit)
        assert commits.groups == [[1]]


class TestJoint:
    def test_those_who_ask_together_are_answered_together(self) -> None:
        done: list[dict[int, str]] = []

        async def run() -> list[str]:
            async with Joint(partial(note, done), seconds=60) as joint:
                with ExitStack() as stack:
                    for key in range(5):
                        stack.enter_context(joint.joined(key))
                    return await asyncio.gather(*(joint.ask(key, f"{key}") for key in range(5)))

        assert asyncio.run(run()) == ["0!", "1!", "2!", "3!", "4!"]
        assert done == [{key: f"{key}" for key in range(5)}]

    def test_who_does_not_ask_is_waited_for_a_moment_only(self) -> None:
        done: list[dict[int, str]] = []

        async def run() -> str:
            async with Joint(partial(note, done), seconds=0.01) as joint:
                with joint.joined(1), joint.joined(2):
                    return await joint.ask(1, "one")

        assert asyncio.run(run()) == "one!"
        assert done == [{1: "one"}]

    def test_who_leaves_is_not_waited_for(self) -> None:
        done: list[dict[int, str]] = []

        async def run() -> str:
            async with Joint(partial(note, done), seconds=60) as joint:
                with joint.joined(1):
                    with joint.joined(2):
                        asked = asyncio.create_task(joint.ask(1, "one"))
                        await asyncio.sleep(0)
                    return await asked

        assert asyncio.run(run()) == "one!"

    def test_an_error_is_raised_to_the_one_whose_fault_it_is(self) -> None:
        done: list[dict[int, str]] = []

        async def run() -> list[object]:
            async with Joint(partial(note, done), seconds=60) as joint:
                with joint.joined(1), joint.joined(2), joint.joined(3):
                    asked = [joint.ask(key, text) for key, text in enumerate("ab?", start=1)]
                    return list(await asyncio.gather(*asked, return_exceptions=True))

        first, second, third = asyncio.run(run())
        assert (first, second) == ("a!", "b!")
        assert isinstance(third, ValueError)
        assert done == [{1: "a"}, {2: "b"}]

    def test_one_call_at_a_time(self) -> None:
        running, most = Counter[str](), 0

        def slow(asked: Mapping[int, str]) -> dict[int, str]:
            nonlocal most
            running["now"] += 1
            most = max(most, running["now"])
            time.sleep(0.01)
            running["now"] -= 1
            return dict(asked)

        async def one(joint: "Joint[str, str]", key: int) -> None:
            with joint.joined(key):
                for _ in range(5):
                    assert await joint.ask(key, f"{key}") == f"{key}"
                    await asyncio.sleep(0.001 * key)

        async def run() -> None:
            async with Joint(slow, seconds=0.002) as joint:
                await asyncio.gather(*(one(joint, key) for key in range(6)))

        asyncio.run(run())
        assert most == 1

    def test_who_is_cancelled_leaves_the_others_their_answer(self) -> None:
        done: list[dict[int, str]] = []

        async def run() -> str:
            async with Joint(partial(note, done), seconds=60) as joint:
                with joint.joined(1), joint.joined(2):
                    asked = asyncio.create_task(joint.ask(1, "one"))
                    await asyncio.sleep(0)
                    asked.cancel()
                    return await joint.ask(2, "two")

        assert asyncio.run(run()) == "two!"


def note(done: list[dict[int, str]], asked: Mapping[int, str]) -> dict[int, str]:
    """Answer with what was asked; of a question mark know nothing."""
    if "?" in asked.values():
        raise ValueError("what?")
    done.append(dict(asked))
    return {key: f"{text}!" for key, text in asked.items()}
