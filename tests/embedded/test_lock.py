import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedded.conftest import StartUp
from tests.embedded.running import dummy
from worker.embedded import StartError, lock

A_DEAD_PROCESS = """
import os
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
print(pid)
"""


def acquire(data_dir: Path) -> int:
    return asyncio.run(lock.acquire(data_dir))


def test_the_directory_and_the_lock_are_ours_alone(tmp_path: Path) -> None:
    fd = acquire(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "kabar.lock").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "b" / "kabar.lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_a_second_one_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    fd = acquire(tmp_path)
    with pytest.raises(StartError, match=rf"in use by process {os.getpid()} .*KABAR_DATA_DIR"):
        acquire(tmp_path)
    os.close(fd)
    os.close(acquire(tmp_path))


def test_what_an_earlier_one_wrote_is_of_no_account(tmp_path: Path) -> None:
    (tmp_path / "kabar.lock").write_text("99999999\nand more than a process id\n")
    fd = acquire(tmp_path)
    assert (tmp_path / "kabar.lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_waits_for_what_a_killed_one_has_left(tmp_path: Path) -> None:
    """The lock's owner is dead, and its reaper still holds it."""
    dead = subprocess.run([sys.executable, "-c", A_DEAD_PROCESS], capture_output=True, check=True)
    fd = acquire(tmp_path)
    (tmp_path / "kabar.lock").write_bytes(dead.stdout)

    async def succeed() -> int:
        acquiring = asyncio.create_task(lock.acquire(tmp_path))
        done, _ = await asyncio.wait({acquiring}, timeout=0.3)
        assert not done
        os.close(fd)
        return await acquiring

    os.close(asyncio.run(succeed()))


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        StartError, match=r"file/data cannot be written \(Not a directory\).*KABAR_"
    ):
        acquire(tmp_path / "file" / "data")


def test_the_command_says_so_in_one_line(start_up: StartUp, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    up = start_up({}, data_dir=tmp_path / "logs", KABAR_DATA_DIR=str(tmp_path / "file" / "data"))
    assert up.child.wait(30) == 1
    assert up.written().startswith("kabar: the data directory ")
    assert up.written().count("\n") == 1


def test_a_second_up_is_refused_and_the_first_goes_on(start_up: StartUp, tmp_path: Path) -> None:
    first = start_up({"io": dummy("io")}).wait_ready()
    second = start_up(
        {"io": dummy("io")}, data_dir=tmp_path / "second", KABAR_DATA_DIR=str(tmp_path / "data")
    )
    assert second.child.wait(30) == 1
    assert f"in use by process {first.pid} " in second.written()
    assert first.stop() == 0
