"""What goes wrong with one row costs no other row of its batch."""

import asyncio
from typing import Any

import pytest

from worker import batches
from worker.store.groups import Groups


def test_a_row_that_raises_keeps_no_other_from_its_outcome() -> None:
    def one(row: Any) -> int:
        if row["id"] == 2:
            raise ValueError("a bug")
        number: int = row["id"]
        return number

    rows: list[Any] = [{"id": 1}, {"id": 2}, {"id": 3}]
    assert list(batches.each(one, rows)) == [1, 3]


def test_a_commit_that_fails_costs_its_own_group_and_is_told_at_the_end() -> None:
    committed: list[int] = []

    def commit(group: list[int]) -> None:
        if 1 in group:
            raise OSError("the disk is full")
        committed.extend(group)

    async def work() -> None:
        async with Groups(commit, seconds=60, size=1) as groups:
            for number in (1, 2, 3):
                groups.add(number)
                await asyncio.sleep(0.05)

    with pytest.raises(OSError, match="the disk is full"):
        asyncio.run(work())
    assert committed == [2, 3]
