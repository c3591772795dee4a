"""How `kabar up` ends: by SIGTERM, by Ctrl-C at a real terminal, by a terminal that goes away."""

import json
import os
import pty
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def hang_up(self) -> None:
        """Close it, as a window that is closed."""
        self._open = False
        self._reader.join(30)
        os.close(self._fd)

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
        if self._open:
            self.hang_up()

    def _read(self) -> None:
        while self._open:
            # Not just `read`: that would keep the terminal open when it is closed.
            if not select.select([self._fd], [], [], 0.05)[0]:
                continue
            try:
                self._written += os.read(self._fd, 65_536)
            except OSError:  # Linux's way to say that the other side is closed
                return


StartTerminal = Callable[..., Terminal]


@pytest.fixture
def start_terminal(tmp_path: Path) -> Iterator[StartTerminal]:
    terminals: list[Terminal] = []

    def start(*options: str) -> Terminal:
        children = {name: dummy(name, *options) for name in ("web", "beat", "control", "io", "cpu")}
        (tmp_path / "children.json").write_text(json.dumps(children))
        command = [sys.executable, "-m", "tests.embedded.up_with", str(tmp_path / "children.json")]
        terminals.append(Terminal(command, environ(tmp_path), tmp_path))
        terminals[-1].wait_written("ready in")
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def environ(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KABAR_DATA_DIR": str(tmp_path / "data"),
        "KABAR_WEB__PORT": "0",
        "NO_COLOR": "1",
    }


def family(pid: int) -> set[int]:
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


def test_one_interrupt_ends_all_in_order(start_terminal: StartTerminal) -> None:
    terminal = start_terminal()
    pids = family(terminal.pid)
    terminal.type(CTRL_C)
    assert terminal.wait(30) == 130
    ended = re.findall(r"\b(\w+) ended with exit code 0", terminal.written())
    assert ended[:2] == ["web", "beat"]
    assert sorted(ended[2:5]) == ["control", "cpu", "io"]
    assert ended[5:] == ["broker"]
    assert "starts again" not in terminal.written()
    assert not left(pids)


def test_two_interrupts_end_all_at_once(start_terminal: StartTerminal) -> None:
    terminal = start_terminal("--deaf", "--pool", "1")
    pids = family(terminal.pid)
    terminal.type(CTRL_C)
    terminal.wait_written("stopping; Ctrl-C ends it at once")
    terminal.type(CTRL_C)
    assert terminal.wait(AT_ONCE_SECONDS) == 130
    assert not left(pids)


def test_a_terminal_that_goes_away_ends_all_in_order(
    start_terminal: StartTerminal, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    terminal = start_terminal("--mark", str(marks))
    pids = family(terminal.pid)
    terminal.hang_up()
    assert terminal.wait(30) == 0
    assert marks.read_text().split()[:2] == ["web", "beat"]
    assert not left(pids)


def test_sigterm_ends_all_with_0(start_up: StartUp) -> None:
    up = start_up({"io": dummy("io", "--pool", "1"), "web": dummy("web")}).wait_ready()
    pids = up.family()
    assert up.stop() == 0
    assert not left(pids)


def test_a_hangup_that_is_ignored_stays_so(start_up: StartUp) -> None:
    """As under `nohup`."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        up = start_up({"io": dummy("io")}).wait_ready()
    finally:
        signal.signal(signal.SIGHUP, former)
    up.child.send(signal.SIGHUP)
    os.kill(up.main("dummy.py"), signal.SIGKILL)  # something that shows that time has passed
    up.wait_written("io was killed by SIGKILL; it starts again")
    assert up.child.running
    assert "stopping" not in up.written()
    assert up.stop() == 0


def test_sigterm_during_the_start_ends_it(start_up: StartUp) -> None:
    up = start_up({"io": dummy("io", "--never-ready")})
    waiting.until(lambda: "dummy.py" in str(commands(up.pid)), "the child runs")
    pids = up.family()
    assert up.stop() == 0
    assert "ready in" not in up.written()
    assert not left(pids)


@pytest.mark.slow
def test_what_cannot_be_started_ends_the_whole_with_1(start_up: StartUp) -> None:
    up = start_up({"io": dummy("io"), "web": dummy("web", "--crash", "3")})
    waiting.until(lambda: "dummy.py" in str(commands(up.pid)), "the child runs")
    pids = up.family()
    assert up.child.wait(60) == 1
    last = up.written().splitlines()[-1]
    assert last.startswith("kabar: web cannot be started: it ended with exit code 3, 5 times")
    assert not left(pids)


def commands(pid: int) -> list[list[str]]:
    return [process.cmdline() for process in psutil.Process(pid).children()]
