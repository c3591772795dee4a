"""kill -9 of `kabar up` and of what it runs: nothing is left, whatever it was doing."""

import os
import signal
import sys

import psutil
import pytest

from tests import waiting
from tests.embedded.conftest import StartUp
from tests.embedded.running import Up, dummy, left

GONE_SECONDS = 3.0
"""The issue's own bound."""

MOODS = {
    "sleeps": ("--pool", "2"),
    "spins": ("--pool", "1", "--spin"),
    "deaf": ("--pool", "2", "--deaf"),
}


@pytest.fixture(params=MOODS)
def mood(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return MOODS[request.param]


def test_nothing_is_left(start_up: StartUp, mood: tuple[str, ...]) -> None:
    up = start_up({"io": dummy("io", *mood), "web": dummy("web")}).wait_ready()
    kill_and_wait(up)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no such signal")
def test_nothing_is_left_by_the_kernel_alone(start_up: StartUp, mood: tuple[str, ...]) -> None:
    up = start_up({"io": dummy("io", *mood), "web": dummy("web")}).wait_ready()
    reaper = up.reaper()
    os.kill(reaper, signal.SIGSTOP)
    try:
        kill_and_wait(up, but={reaper})
    finally:
        os.kill(reaper, signal.SIGKILL)


def test_nothing_is_left_by_the_reaper_alone(start_up: StartUp, mood: tuple[str, ...]) -> None:
    children = {name: dummy(name, *mood, "--no-death-signal") for name in ("io", "web")}
    kill_and_wait(start_up(children).wait_ready())


def test_a_reaper_that_ends_is_replaced_and_knows_all(start_up: StartUp) -> None:
    up = start_up({"io": dummy("io", "--pool", "2", "--no-death-signal")}).wait_ready()
    former = up.reaper()
    os.kill(former, signal.SIGKILL)
    up.wait_written("the reaper ended")
    waiting.until(lambda: left(up.family()) - {former} and up.reaper() != former, "another reaper")
    kill_and_wait(up)


@pytest.mark.slow
def test_a_reaper_that_is_frozen_does_not_hold_the_end(start_up: StartUp) -> None:
    up = start_up({"io": dummy("io")}).wait_ready()
    family = up.family()
    os.kill(up.reaper(), signal.SIGSTOP)
    assert up.stop() == 0
    waiting.until(lambda: not left(family), "all are gone")


def test_the_pool_of_a_killed_worker_ends_and_the_worker_comes_back(start_up: StartUp) -> None:
    children = {"io": dummy("io", "--pool", "2", "--deaf", "--no-death-signal")}
    up = start_up(children).wait_ready()
    before = up.family() - {up.pid, up.reaper()}
    worker = next(pid for pid in before if children_of(pid))
    group = {worker, *children_of(worker)}
    os.kill(worker, signal.SIGKILL)
    up.wait_written("io was killed by SIGKILL; it starts again in 0.5 s")
    waiting.until(lambda: not left(group), "the old group is gone", GONE_SECONDS)
    waiting.until(lambda: len(up.family() - before) >= 5, "worker and pool are back")
    assert up.child.running


def test_starts_right_after_a_kill(start_up: StartUp) -> None:
    children = {"io": dummy("io", "--pool", "1", "--no-death-signal")}
    for _ in range(3):
        up = start_up(children).wait_ready()
        up.child.kill()
        up.log.unlink()
    assert start_up(children).wait_ready().stop() == 0


def kill_and_wait(up: Up, but: frozenset[int] | set[int] = frozenset()) -> None:
    family = up.family() - but
    assert len(family) >= 4, "kabar, broker and their children"
    up.child.kill()
    waiting.until(lambda: not left(family), "all are gone", GONE_SECONDS, step=0.01)


def children_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}
