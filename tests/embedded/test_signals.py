"""How `kabar up` ends: by SIGTERM, by Ctrl-C at a real terminal, by a terminal that goes away."""

import os
import pty
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import waiting
from tests.embedded.conftest import StartUp
from tests.embedded.running import ROOT, dummy, left

AT_ONCE_SECONDS = 3.0
"""The issue's own bound, from the second Ctrl-C on."""
CTRL_C = b"\x03"


class Terminal:
    """A pseudo-terminal with a command in its foreground."""

    def __init__(self, command: list[str], environ: dict[str, str], directory: Path) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execve(command[0], command, environ)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def hang_up(self) -> None:
        """Close it, as a window that is closed."""
        os.kill(self.pid, signal.SIGHUP)
        os.kill(self.pid, signal.SIGCONT)

    def written(self) -> str:
        return self._written.decode(errors="replace")

    def wait_written(self, what: str) -> None:
        waiting.until(lambda: what in self.written(), what)

    def wait(self, seconds: float) -> int:
        """The exit code."""
        status: list[int] = []

        def ended() -> bool:
            pid, code = os.waitpid(self.pid, os.WNOHANG)
            status.append(code)
            return bool(pid)

        waiting.until(ended, f"the end of: {self.written()}", seconds, step=0.02)
        self.pid = 0
        self._reader.join(5)
        return os.waitstatus_to_exitcode(status[-1])

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._fd, 65_536)
            except OSError:  # Linux's way to say that the other side is closed
                return
            if not chunk:
                return
            self._written += chunk


@pytest.fixture
def start_terminal(start_up: StartUp, tmp_path: Path) -> Iterator[object]:
    terminals: list[Terminal] = []

    def start(*options: str) -> Terminal:
        children = {name: dummy(name, *options) for name in ("web", "beat", "control", "io", "cpu")}
        import json

        (tmp_path / "children.json").write_text(json.dumps(children))
        terminals.append(
            Terminal(
                [sys.executable, "-m", "tests.embedded.up_with", str(tmp_path / "children.json")],
                {
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "KABAR_DATA_DIR": str(tmp_path / "data"),
                    "KABAR_WEB__PORT": "0",
                },
                tmp_path,
            )
        )
        terminals[-1].wait_written("ready in")
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()
