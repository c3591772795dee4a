"""`kabar demo` as a process whose output goes to files, and whose processes can all be told."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.waiting import until

_MARK = "DEMO_TEST_MARK"
# Nothing is fetched from anywhere: no stories are translated.
_OFFLINE = {
    "KABAR_DEMO_LLM": "0",
    "KABAR_TRANSLATE__FIREFOX__RECORDS_URL": "http://127.0.0.1:9/",
}


class Demo:
    """A demo whose output goes to files, and whose processes can all be told by a mark."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self._mark = uuid.uuid4().hex
        self._out, self._err = directory / "stdout", directory / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={
                    **os.environ,
                    **_OFFLINE,
                    **environment,
                    _MARK: self._mark,
                    "HOME": str(directory),
                    "NO_COLOR": "1",
                    "COLUMNS": "200",
                },
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
        table = self.out.rpartition("\nkabar demo")[2].splitlines()
        (line,) = [line for line in table if name in line and line.startswith("│")]
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
