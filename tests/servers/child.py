"""Child processes of the test run: output to a file, and none outlives the run."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

# Runs without site-packages, then becomes the program: same pid, and the kernel kills it when the
# test run is gone. Compared with the parent's pid, since that may have died before `prctl`.
_GUARD = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """A running program; the file `log` takes its standard error and, by default, its output."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Path | None = None,
        stdout: Path | None = None,
    ) -> None:
        self.log = log
        guarded = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *map(str, command)]
        with (
            log.open("ab") as errors,
            (stdout or log).open("ab") as output,
            (stdin or Path(os.devnull)).open("rb") as source,
        ):
            self._process = subprocess.Popen(
                guarded,
                stdin=source,
                stdout=output,
                stderr=errors,
                env=env,
                cwd=cwd,
                start_new_session=True,  # Ctrl-C is pytest's to handle
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone; nothing happens when it has ended."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired` when it still runs after `seconds`."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """`kill -9`, and wait for the end."""
        self._process.kill()
        self._process.wait(30)

    def written(self) -> str:
        """What `log` holds by now."""
        return self.log.read_text(errors="replace")


def alive(pid: int) -> bool:
    """Whether a process does anything any more; a zombie that nobody reaps does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
