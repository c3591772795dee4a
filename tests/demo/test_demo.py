"""The whole service, run as a user runs it: `kabar demo` as a process of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import until
from worker.demo.newsroom import SITES

pytestmark = pytest.mark.slow

_MARK = "DEMO_TEST_MARK"


class Demo:
    """A demo whose output goes to files, and whose processes can all be told by a mark."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._mark = uuid.uuid4().hex
        self._out, self._err = directory / "stdout", directory / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, _MARK: self._mark, "NO_COLOR": "1", "COLUMNS": "200"},
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def row(self, name: str) -> str:
        """The value of a row of the closing table."""
        (line,) = [line for line in self.out.splitlines() if name in line and line.startswith("│")]
        return line.strip("│ ").rpartition("│")[2].strip()

    def living(self) -> list[psutil.Process]:
        """All processes that this demo has started, itself included."""
        return [process for process in psutil.process_iter() if _mark_of(process) == self._mark]

    def service(self) -> psutil.Process | None:
        """The `kabar up` that runs now."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie counts as none
                if child.cmdline()[-1:] == ["up"]:
                    return child
        return None

    def alerts(self) -> int:
        return self.out.count("● ")

    def until_alerts(self, number: int) -> None:
        """Wait for so many alerts; fail at once when the demo has ended before."""
        until(
            lambda: self.alerts() >= number or self.process.poll() is not None,
            f"{number} alerts",
            60,
        )
        assert self.process.poll() is None, self.err


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(_MARK)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return None


StartDemo = Callable[..., Demo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartDemo]:
    demos: list[Demo] = []

    def start(*arguments: str) -> Demo:
        demos.append(Demo(tmp_path, *arguments))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()
        until(lambda demo=demo: not demo.living(), "nothing of the demo is left", 15)


def test_it_ends_well_after_so_many_alerts(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo", "--stories", "4", "--exit")
    assert demo.process.wait(110) == 0, demo.err
    assert demo.alerts() == 4
    assert demo.row("stories") == "4"
    assert demo.row("articles") == "5"
    assert demo.row("updates") == "1"
    assert demo.row("alerts, each verified") == "4"
    assert demo.row("duplicates suppressed") == "1"
    assert demo.row("signatures refused") == "0"
    assert demo.row("publication to alert, 95 %").endswith(" s")
    assert demo.row("processes up to first alert").endswith(" s")
    assert demo.err == ""
    assert demo.living() == []


def test_a_service_that_is_killed_comes_back_and_repeats_no_story(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo", "--stories", "5", "--exit")
    demo.until_alerts(1)
    first = until(demo.service, "kabar up")
    first.kill()
    first.wait(10)
    until(demo.service, "another kabar up", 20)
    assert demo.process.wait(110) == 0, demo.err
    assert demo.row("alerts, each verified") == "5"


def test_nothing_outlives_a_demo_that_is_killed(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo")
    demo.until_alerts(1)
    assert len(demo.living()) > 5
    directory = Path(until(demo.service, "kabar up").environ()["KABAR_CONFIG"]).parent
    demo.process.kill()
    demo.process.wait()
    until(lambda: not demo.living(), "nothing of the demo is left", 10)
    shutil.rmtree(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_until_it_is_asked_to_end(start: StartDemo, number: signal.Signals) -> None:
    demo = start("-m", "worker", "demo")
    demo.until_alerts(2)
    demo.process.send_signal(number)
    assert demo.process.wait(60) == 0, demo.err
    assert int(demo.row("alerts, each verified")) >= 2
    assert demo.living() == []


def test_what_is_not_done_in_time_is_a_failure_with_its_reason(start: StartDemo) -> None:
    program = (
        "import sys; from worker.demo import run; "
        "sys.exit(run(stories=3, exit_after=True, deadline_seconds=2))"
    )
    demo = start("-c", program)
    assert demo.process.wait(60) == 1
    assert demo.row("alerts, each verified") == "0"
    assert "kabar: demo: not done within 2 s: 0 of 3 alerts have come" in demo.err
    assert demo.living() == []


def test_a_port_in_use_is_told_in_one_line(start: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = taken.getsockname()[1] - len(SITES)  # the receiver's port comes after the sites'
        demo = start(
            "-c", f"import sys; from worker.demo import run; sys.exit(run(port_base={base}))"
        )
        assert demo.process.wait(60) == 1
    assert demo.err.startswith("kabar: demo: cannot listen on loopback: ")
    assert demo.err.count("\n") == 1
