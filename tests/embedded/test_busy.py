"""`kabar up` with a Celery node that is at work."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from tests import waiting
from tests.embedded import busy
from tests.embedded.conftest import StartUp
from tests.embedded.running import Up, left
from tests.embedded.test_kill import GONE_SECONDS, children_of, kill_and_wait
from worker.app import make_app
from worker.settings import Settings

pytestmark = pytest.mark.slow

BUSY = [sys.executable, "-m", "tests.embedded.busy"]


class Node:
    """A `kabar up` whose worker `io` is a busy one, and how to give that work."""

    def __init__(self, up: Up, app: Celery, directory: Path) -> None:
        self.up = up
        self.started = [directory / f"started{slot}" for slot in range(busy.SLOTS)]
        self.done = directory / "done"
        self._app = app

    def idle(self) -> None:
        """Give it nothing."""

    def spin(self) -> None:
        for started in self.started:
            self._app.send_task("spin", [str(started)], queue=busy.QUEUE)
        self._wait(busy.SLOTS)

    def nap(self, seconds: float = 600) -> None:
        for started in self.started:
            arguments = [str(started), str(self.done), seconds]
            self._app.send_task("nap", arguments, queue=busy.QUEUE)
        self._wait(busy.SLOTS)

    def _wait(self, tasks: int) -> None:
        waiting.until(
            lambda: sum(started.exists() for started in self.started) == tasks, "tasks run"
        )


@pytest.fixture
def start_node(
    start_up: StartUp, tmp_path: Path, make_settings: Callable[..., Settings]
) -> Callable[..., Node]:
    def start(*options: str, **environ: str) -> Node:
        up = start_up({"io": [*BUSY, *options]}, **environ).wait_ready()
        url = (up.data_dir / "broker" / "url").read_text().strip()
        return Node(up, make_app(make_settings(broker={"url": url})), tmp_path)

    return start


@pytest.mark.parametrize("work", ["idle", "spin", "nap"])
@pytest.mark.parametrize("options", [(), ("--no-death-signal",)], ids=["kernel", "reaper-alone"])
def test_nothing_is_left_after_a_kill(
    start_node: Callable[..., Node], options: tuple[str, ...], work: str
) -> None:
    node = start_node(*options)
    getattr(node, work)()
    kill_and_wait(node.up)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no such signal")
@pytest.mark.parametrize("work", ["idle", "spin", "nap"])
def test_nothing_is_left_after_a_kill_by_the_kernel_alone(
    start_node: Callable[..., Node], work: str
) -> None:
    node = start_node()
    getattr(node, work)()
    reaper = node.up.reaper()
    os.kill(reaper, signal.SIGSTOP)
    try:
        kill_and_wait(node.up, but={reaper})
    finally:
        os.kill(reaper, signal.SIGKILL)


@pytest.mark.parametrize("options", [(), ("--no-death-signal",)], ids=["kernel", "group-alone"])
def test_a_killed_worker_takes_its_pool_along_and_comes_back(
    start_node: Callable[..., Node], options: tuple[str, ...]
) -> None:
    node = start_node(*options)
    node.spin()
    main = node.up.main("tests.embedded.busy")
    group = {main, *children_of(main)}
    assert len(group) == 1 + busy.SLOTS
    os.kill(main, signal.SIGKILL)
    waiting.until(lambda: not left(group), "worker and pool are gone", GONE_SECONDS)
    for started in node.started:
        started.unlink()
    node.spin()
    assert node.up.main("tests.embedded.busy") != main


def test_a_stop_waits_for_a_task_and_no_longer(start_node: Callable[..., Node]) -> None:
    node = start_node(KABAR_WORKERS__STOP_SECONDS="30")
    node.nap(2)
    began = time.monotonic()
    assert node.up.stop() == 0
    assert node.done.exists(), "the task was let finish"
    assert time.monotonic() - began < 15, "and the rest of the 30 s was not waited for"
    assert "io ended with exit code 0" in node.up.written()


def test_a_stop_does_not_wait_for_ever(start_node: Callable[..., Node]) -> None:
    node = start_node(KABAR_WORKERS__STOP_SECONDS="1")
    node.nap(600)
    family = node.up.family()
    began = time.monotonic()
    assert node.up.stop() == 0
    assert time.monotonic() - began < 1 + 5 + 5, "grace, SIGQUIT's five seconds, and some"
    assert not node.done.exists()
    assert not left(family)
