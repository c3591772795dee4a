"""Kabar's own processes, as `python -m worker …`, each with its log in a file."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests import waiting
from tests.servers.child import Child

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90.0


class Process(Child):
    """One long-running process; its log (standard error) is JSON, a line a record."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path, notify: Path
    ) -> None:
        self._ready = False
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.setblocking(False)
        self._channel.bind(str(notify))
        super().__init__(
            command,
            log,
            env={**env, "NOTIFY_SOCKET": str(notify)},
            cwd=cwd,
            stdout=log.with_suffix(".out"),
        )

    def wait_ready(self) -> "Process":
        """Wait until it has said (`sd_notify`) that it works."""
        waiting.until(self._is_ready, f"ready; its log is {self.log}", READY_SECONDS)
        return self

    def pool(self) -> list[int]:
        """The ids of its child processes."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def records(self) -> list[dict[str, Any]]:
        """Its complete log lines.

        Raises `json.JSONDecodeError` for one that is no JSON.
        """
        return [json.loads(line) for line in self.written().splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM; the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def close(self) -> None:
        """For the end of a test: its end, no matter how."""
        if self.running:
            self.kill()
        self._channel.close()

    def _is_ready(self) -> bool:
        assert self.running, f"ended with {self.exit_code}: {self.written()[-4000:]}"
        try:
            while not self._ready:
                self._ready = b"READY=1" in self._channel.recv(4096).split(b"\n")
        except BlockingIOError:
            return False
        return True


class Kabar:
    """An installation: settings in the environment, and the processes that were started on it.

    `module` takes the place of `worker` in `python -m worker`.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str], module: str = "worker") -> None:
        self.directory = directory
        self.processes: list[Process] = []
        self._module = module
        self._sockets = Path(tempfile.mkdtemp(prefix="kabar-run-", dir="/tmp"))
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KABAR_")},
            "PYTHONPATH": str(ROOT),
            "KABAR_DATA_DIR": str(directory / "data"),
            "KABAR_LOG__FORMAT": "json",
            "KABAR_TRANSLATE__ENGINES": "none",  # the default one fetches models from outside
            **environ,
        }

    def start(self, *arguments: str, **environ: str) -> Process:
        """Start `kabar arguments…` and wait until it is ready."""
        return self.begin(*arguments, **environ).wait_ready()

    def begin(self, *arguments: str, **environ: str) -> Process:
        """Start `kabar arguments…`."""
        name = f"{len(self.processes)}-{arguments[0]}"
        process = Process(
            [sys.executable, "-m", self._module, *arguments],
            self.directory / f"{name}.log",
            {**self._environ, **environ},
            self.directory,
            self._sockets / f"{len(self.processes)}",
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run `kabar arguments…` to its end."""
        return subprocess.run(
            [sys.executable, "-m", self._module, *arguments],
            env={**self._environ, **environ},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def json(self, *arguments: str) -> Any:
        """What `kabar arguments… --json` printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def close(self) -> None:
        """End all that was started."""
        for process in self.processes:
            process.close()
        shutil.rmtree(self._sockets)
