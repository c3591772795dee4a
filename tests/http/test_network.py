"""The process's event loop: batches, stragglers, and the end."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests import waiting
from worker.http.network import _MOST_UNFINISHED, Network
from worker.settings import HttpSettings


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network(HttpSettings(), patience=0.05)
    yield network
    network.close()


def test_a_batch_that_is_done_in_time_has_been_done_when_run_returns(network: Network) -> None:
    done: list[int] = []

    async def batch() -> None:
        await asyncio.sleep(0)
        done.append(1)

    network.run(batch())
    assert done == [1]


def test_an_error_of_a_batch_is_the_callers(network: Network) -> None:
    async def batch() -> None:
        raise OSError("a bug")

    with pytest.raises(OSError, match="a bug"):
        network.run(batch())


def test_a_straggler_goes_on_after_run_has_returned(network: Network) -> None:
    let_go, ended = threading.Event(), threading.Event()

    async def batch() -> None:
        await asyncio.to_thread(let_go.wait, 30)
        ended.set()

    network.run(batch())
    assert not ended.is_set()
    let_go.set()
    assert ended.wait(30)


def test_the_error_of_a_straggler_is_logged(network: Network) -> None:
    async def batch() -> None:
        await asyncio.sleep(0.2)
        raise ValueError("too late for the caller")

    with capture_logs() as logged:
        network.run(batch())
        network.finish(30)
    assert [line["event"] for line in logged] == ["a batch ended with an error"]


def test_nor_does_it_wait_for_another_straggler(network: Network) -> None:
    let_go, ended = threading.Event(), threading.Event()

    async def late() -> None:
        await asyncio.to_thread(let_go.wait, 30)
        ended.set()
        raise ValueError("too late for the caller")

    async def quick() -> None:
        await asyncio.sleep(0)

    def told() -> bool:
        network.run(quick())
        return bool(logged)

    network.run(late())
    let_go.set()
    assert ended.wait(30)
    with capture_logs() as logged:
        waiting.until(told, "the error is told")
    assert [line["event"] for line in logged] == ["a batch ended with an error"]


def test_unfinished_batches_are_bounded(network: Network) -> None:
    let_go = threading.Event()
    ran: list[int] = []

    async def hang() -> None:
        while not let_go.is_set():
            await asyncio.sleep(0.01)

    async def quick() -> None:
        ran.append(1)

    for _ in range(_MOST_UNFINISHED - 1):
        network.run(hang())
    blocked = threading.Thread(target=lambda: (network.run(hang()), network.run(quick())))
    blocked.start()
    blocked.join(0.5)
    assert blocked.is_alive()
    assert ran == []
    let_go.set()
    blocked.join(30)
    assert ran == [1]


def test_a_stuck_loop_keeps_its_task(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the task's time limit ends the process, be the loop stuck in C code."""
    monkeypatch.setattr("worker.http.network._ALIVE_SECONDS", 0.2)
    let_go = threading.Event()

    async def stuck() -> None:
        let_go.wait(30)

    caller = threading.Thread(target=network.run, args=(stuck(),))
    caller.start()
    caller.join(1)
    assert caller.is_alive()
    let_go.set()
    caller.join(30)
    assert not caller.is_alive()


def test_at_the_end_stragglers_are_cancelled_and_clean_up_first() -> None:
    network = Network(HttpSettings(), patience=0.01)
    cleaned = threading.Event()

    async def batch() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            await asyncio.sleep(0.1)
            cleaned.set()

    network.run(batch())
    network.close()
    assert cleaned.is_set()
    assert not network._thread.is_alive()


def test_call_returns_what_the_work_came_to(network: Network) -> None:
    async def work() -> int:
        return 7

    assert network.call(work()) == 7
