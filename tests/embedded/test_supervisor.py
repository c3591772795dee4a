import asyncio
import contextlib
import os
import re
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.embedded.running import dummy
from tests.servers.child import alive
from worker.embedded import StartError, supervisor
from worker.embedded.child import ChildSpec
from worker.embedded.groups import Groups
from worker.embedded.output import Output
from worker.embedded.supervisor import Supervisor

NAMES = ("web", "beat", "io", "cpu", "broker")
ORDER = (("web",), ("beat",), ("io", "cpu"), ("broker",))


class Bench:
    """A supervisor in this process, and what it and its children have written."""

    def __init__(self, tmp_path: Path) -> None:
        self.log = tmp_path / "log"
        self.marks = tmp_path / "marks"
        self.hurry = asyncio.Event()
        self.supervisor: Supervisor

    def written(self) -> str:
        return self.log.read_text()

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.written()
            await asyncio.sleep(0.02)

    def spec(self, name: str, *options: str, grace: float = 30.0, last: float = 5.0) -> ChildSpec:
        return ChildSpec(
            name,
            tuple(dummy(name, "--mark", str(self.marks), *options)),
            dict(os.environ),
            ((signal.SIGTERM, grace), (signal.SIGQUIT, last)),
        )

    async def stop(self) -> None:
        await self.supervisor.stop(ORDER)


@contextlib.asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    with (
        bench.log.open("wb") as log,
        (tmp_path / "lock").open("wb") as lock,
        tempfile.TemporaryDirectory(dir="/tmp") as run_dir,
    ):
        output = Output(log.fileno(), NAMES)
        groups = Groups(lock.fileno(), lambda text: output.line("kabar", text.encode()))
        await groups.start()
        bench.supervisor = Supervisor(Path(run_dir), groups, output, bench.hurry)
        try:
            yield bench
        finally:
            bench.hurry.set()
            await bench.stop()
            await groups.close()
            output.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same back-off, a tenth as long."""
    monkeypatch.setattr(supervisor, "_FIRST_DELAY_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "_LAST_DELAY_SECONDS", 0.2)


def test_starts_all_and_returns_when_all_work(tmp_path: Path) -> None:
    async def main() -> None:
        ready: list[str] = []
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec("io"), bench.spec("web")], ready.append)
            assert sorted(ready) == ["io", "web"]
            assert all(map(alive, bench.supervisor.pids().values()))

    asyncio.run(main())


def test_one_that_never_starts_is_given_up_after_five_tries_ever_further_apart(
    tmp_path: Path, quick: None
) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            with pytest.raises(
                StartError, match=r"^web cannot be started: it ended with exit code 3, 5 times"
            ):
                await bench.supervisor.start([bench.spec("io"), bench.spec("web", "--crash", "3")])
        tries = re.findall(
            r"web ended with exit code 3; it starts again in (\S+) s", bench.written()
        )
        assert tries == ["0.05", "0.1", "0.2", "0.2"]

    asyncio.run(main())


def test_a_command_that_is_not_there_is_given_up(tmp_path: Path, quick: None) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            missing = ChildSpec("io", (str(tmp_path / "missing"),), {})
            with pytest.raises(
                StartError, match="io cannot be started: it ended with exit code 127"
            ):
                await bench.supervisor.start([missing])
            await bench.until(lambda: bench.written().count("missing cannot be run: No such") == 5)

    asyncio.run(main())


def test_one_that_has_worked_comes_back_however_often_it_ends(tmp_path: Path, quick: None) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec("io", "--end-after", "0")])
            await bench.until(lambda: bench.written().count("io ended with exit code 1") >= 8)

    asyncio.run(main())


def test_one_that_was_killed_comes_back_as_another_process(tmp_path: Path, quick: None) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec("io", "--deaf")])
            former = bench.supervisor.pids()["io"]
            os.kill(former, signal.SIGKILL)
            await bench.until(lambda: bench.supervisor.pids().get("io", former) != former)
        assert "io was killed by SIGKILL; it starts again in 0.05 s" in bench.written()

    asyncio.run(main())


def test_watching_never_ends_by_a_crash(tmp_path: Path, quick: None) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec("io", "--end-after", "0")])
            watching = asyncio.create_task(bench.supervisor.watch())
            await bench.until(lambda: bench.written().count("starts again") >= 3)
            assert not watching.done()
            watching.cancel()

    asyncio.run(main())


def test_all_end_in_order_and_none_starts_again(tmp_path: Path, quick: None) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            # The first is slow and the codes are those of crashes: neither may matter.
            await bench.supervisor.start(
                [
                    bench.spec(name, "--code", "1", "--linger", "0.3" if name == "web" else "0")
                    for name in NAMES
                ]
            )
            pids = bench.supervisor.pids()
            await bench.stop()
            marks = bench.marks.read_text().split()
            assert marks[:2] == ["web", "beat"]
            assert sorted(marks[2:4]) == ["cpu", "io"]
            assert marks[4:] == ["broker"]
            assert not any(map(alive, pids.values()))
        assert "starts again" not in bench.written()

    asyncio.run(main())


def test_one_that_crashes_while_others_end_stays_down(tmp_path: Path, quick: None) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec("web", "--linger", "1"), bench.spec("io")])
            stopping = asyncio.create_task(bench.stop())
            await asyncio.sleep(0)
            os.kill(bench.supervisor.pids()["io"], signal.SIGKILL)
            await stopping
        assert "io was killed by SIGKILL\n" in bench.written()
        assert "starts again" not in bench.written()

    asyncio.run(main())


def test_one_that_waits_to_be_started_again_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec("io")])
            os.kill(bench.supervisor.pids()["io"], signal.SIGKILL)
            await bench.until(lambda: "starts again" in bench.written())
            await bench.stop()
            assert bench.supervisor.pids() == {}

    asyncio.run(main())


def test_one_that_does_not_listen_is_killed_at_the_foot_of_the_ladder(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start(
                [bench.spec("io", "--deaf", "--pool", "1", grace=0.2, last=0.2)]
            )
            await bench.stop()
            await bench.until(lambda: "io was killed by SIGKILL" in bench.written())

    asyncio.run(main())


def test_the_second_step_comes_when_the_first_has_had_its_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            # A dummy that is told to end takes a minute; SIGQUIT it does not catch.
            await bench.supervisor.start([bench.spec("io", "--linger", "60", grace=0.2)])
            await bench.stop()
            await bench.until(lambda: "io was killed by SIGQUIT" in bench.written())

    asyncio.run(main())


def test_in_a_hurry_nobody_is_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            await bench.supervisor.start([bench.spec(name, "--deaf") for name in NAMES])
            pids = bench.supervisor.pids()
            stopping = asyncio.create_task(bench.stop())
            await asyncio.sleep(0.1)
            assert not stopping.done()
            bench.hurry.set()
            await asyncio.wait_for(stopping, 3)
            assert not any(map(alive, pids.values()))

    asyncio.run(main())


def test_a_child_that_is_not_ready_does_not_hold_the_stop(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as bench:
            starting = asyncio.create_task(
                bench.supervisor.start([bench.spec("io", "--never-ready"), bench.spec("web")])
            )
            await bench.until(lambda: len(bench.supervisor.pids()) == 2)
            assert not starting.done()
            starting.cancel()
            await bench.stop()
            assert bench.supervisor.pids() == {}

    asyncio.run(main())
