"""A `kabar up` as a process of its own, and all that belongs to it."""

import contextlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import psutil

from tests import waiting
from tests.servers.child import Child, alive

ROOT = Path(__file__).parents[2]
DUMMY = (sys.executable, "-S", str(Path(__file__).with_name("dummy.py")))


class Up:
    """`kabar up` on the data directory `data_dir`, its output in a file beside that.

    With `children` (commands by name) these run in place of ours.
    """

    def __init__(
        self,
        data_dir: Path,
        children: dict[str, list[str]] | None = None,
        *options: str,
        **environ: str,
    ) -> None:
        self.data_dir = data_dir
        self._seen: set[int] = set()
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.log = data_dir.with_name(data_dir.name + ".log")
        command = [sys.executable, "-m", *self._module(children), *options]
        self.child = Child(command, self.log, env=self.environ(**environ), cwd=data_dir.parent)

    def environ(self, **more: str) -> dict[str, str]:
        # Nobody else's feeds, and a web port that is free.
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KABAR_DATA_DIR": str(self.data_dir),
            "KABAR_FEEDS_FILE": str(self.data_dir / "no-feeds.toml"),
            "KABAR_WEB__PORT": "0",
            **more,
        }

    @property
    def pid(self) -> int:
        return self.child.pid

    def written(self) -> str:
        return self.child.written()

    def wait_ready(self, seconds: float = 60) -> "Up":
        waiting.until(self._is_ready, "ready", seconds)
        return self

    def wait_written(self, pattern: str, seconds: float = 30) -> "re.Match[str]":
        """Wait for a line that matches the regular expression."""
        return waiting.until(
            lambda: re.search(pattern, self.written(), re.MULTILINE), pattern, seconds
        )

    def main(self, name: str) -> int:
        """The main process of a child, by a piece of its command line."""
        found = [
            process.pid
            for process in psutil.Process(self.pid).children()
            if name in " ".join(process.cmdline())
        ]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]

    def reaper(self) -> int:
        return self.main("reaper.py")

    def family(self) -> set[int]:
        """It and all its descendants."""
        process = psutil.Process(self.pid)
        family = {self.pid, *(child.pid for child in process.children(recursive=True))}
        self._seen |= family
        return family

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.child.send(signal.SIGTERM)
        return self.child.wait(60)

    def end(self) -> None:
        """For the end of a test, passed or failed: no matter how, all of it."""
        if self.child.running:
            self.family()
            self.child.kill()
        for pid in left(self._seen):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _module(self, children: dict[str, list[str]] | None) -> list[str]:
        if children is None:
            return ["worker", "up"]
        path = self.data_dir.with_name(self.data_dir.name + ".json")
        path.write_text(json.dumps(children))
        return ["tests.embedded.up_with", str(path)]

    def _is_ready(self) -> bool:
        assert self.child.running, self.written()
        return "| ready in" in self.written()


def left(pids: set[int]) -> set[int]:
    return {pid for pid in pids if alive(pid)}


def dummy(name: str, *options: str) -> list[str]:
    """The command line of a dummy child."""
    return [*DUMMY, name, *options]
