"""How long `kabar up` takes from the command until all works, and the memory that it then holds.

    python -m bench.startup [--quick] [--check] [--json]

Each run starts on an empty data directory. Beside it, turn by turn, honcho starts the same broker
and the same processes from a Procfile, after `kabar db upgrade`: what the supervision itself costs
or saves. Both are told ready by `sd_notify(3)`, honcho's processes one by one. `--check` ends with
1 when the median time or the largest memory is over its target.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from worker.embedded import broker
from worker.embedded.timings import held, tree

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"seconds": 6.0, "megabytes": 700.0}
RUNS, QUICK_RUNS = 5, 2
READY_WITHIN_SECONDS = 90.0
SETTLE_SECONDS = 1.0
PYTHON = (sys.executable, "-P", "-m", "worker")
PROCESSES = {
    "beat": ("beat",),
    "control": ("worker", "--role", "control"),
    "io": ("worker", "--role", "io"),
    "cpu": ("worker", "--role", "cpu", "--role", "translate"),
    "web": ("web",),
}


@dataclass(frozen=True)
class Run:
    seconds: float
    megabytes: float
    processes: int


def main() -> int:
    options = parse()
    runs: dict[str, list[Run]] = {"kabar": [], "honcho": []}
    with Console(stderr=True).status("warm-up: byte code and page cache"):
        measure(start_kabar)
    for number in range(QUICK_RUNS if options.quick else RUNS):
        runs["kabar"].append(measure(start_kabar))
        runs["honcho"].append(measure(start_honcho))
        print(f"run {number + 1}: {runs['kabar'][-1]} | {runs['honcho'][-1]}", file=sys.stderr)
    found = report(runs)
    Console(stderr=options.json).print(table(found))
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs, not {RUNS}")
    parser.add_argument("--check", action="store_true", help="exit code 1 when over a target")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


def measure(start: Callable[[Path, "Readiness"], subprocess.Popen[bytes]]) -> Run:
    """Start on an empty directory, wait until all works, look at the memory, end it."""
    # Not `TMPDIR`: a socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="kabar-", dir="/tmp") as path:
        directory = Path(path)
        with Readiness(directory) as readiness, (directory / "log").open("wb") as log:
            readiness.log = log.fileno()
            began = time.monotonic()
            process = start(directory, readiness)
            try:
                readiness.wait(process, directory / "log")
                seconds = time.monotonic() - began
                time.sleep(SETTLE_SECONDS)
                pids = tree(process.pid)
                return Run(seconds, sum(map(held, pids)) / 1e6, len(pids))
            finally:
                end(process)


def start_kabar(directory: Path, readiness: "Readiness") -> subprocess.Popen[bytes]:
    environ = {**clean_environ(directory), "NOTIFY_SOCKET": readiness.expect("kabar")}
    return subprocess.Popen([*PYTHON, "up"], env=environ, cwd=directory, stderr=readiness.log)


def start_honcho(directory: Path, readiness: "Readiness") -> subprocess.Popen[bytes]:
    environ = clean_environ(directory)
    (directory / "data").mkdir()
    valkey = asyncio.run(broker.prepare(directory / "data" / "broker"))
    environ["KABAR_BROKER__URL_FILE"] = str(valkey.url_file)
    upgrade = [*PYTHON, "db", "upgrade"]
    subprocess.run(upgrade, env=environ, cwd=directory, check=True, stdout=readiness.log)
    procfile = directory / "Procfile"
    procfile.write_text("".join(procfile_lines(valkey, readiness)))
    command = [sys.executable, "-m", "honcho", "-f", str(procfile), "start"]
    return subprocess.Popen(
        command, env=environ, cwd=directory, stdout=readiness.log, stderr=readiness.log
    )


def procfile_lines(valkey: broker.Valkey, readiness: "Readiness") -> Iterator[str]:
    server = shlex.join([str(broker.binary()), str(valkey.config_file)])
    yield f"broker: exec {server}\n"
    for name, words in PROCESSES.items():
        variable = f"NOTIFY_SOCKET={readiness.expect(name)}"
        yield f"{name}: exec {shlex.join(['env', variable, *PYTHON, *words])}\n"


def clean_environ(directory: Path) -> dict[str, str]:
    """Defaults for all but the directory; no feeds, and byte code as an installation has it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KABAR_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "KABAR_DATA_DIR": str(directory / "data"),
        "KABAR_FEEDS_FILE": str(directory / "none.toml"),
        "KABAR_WEB__PORT": str(broker.free_port()),
    }


class Readiness:
    """Sockets on which processes say READY=1."""

    def __init__(self, directory: Path) -> None:
        self.log = subprocess.DEVNULL
        self._directory = directory
        self._channels: dict[str, socket.socket] = {}

    def __enter__(self) -> "Readiness":
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()

    def expect(self, name: str) -> str:
        """The socket's path for one more process."""
        path = self._directory / f"{name}.ready"
        self._channels[name] = channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        channel.bind(str(path))
        channel.settimeout(0.2)
        return str(path)

    def wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Wait for all of them. Raises `RuntimeError` when they end or take too long."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        for name, channel in self._channels.items():
            while not is_ready(channel):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} is not ready:\n{log.read_text(errors='replace')}")


def is_ready(channel: socket.socket) -> bool:
    try:
        return b"READY=1" in channel.recv(4096).split(b"\n")
    except TimeoutError:
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    pids = tree(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    finally:
        process.kill()
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()


def report(runs: Mapping[str, list[Run]]) -> dict[str, object]:
    contenders = {name: summary(measured) for name, measured in runs.items()}
    kabar = contenders["kabar"]
    return {
        "title": "Starting everything on one machine",
        "note": "From the command to the last process ready, on an empty data directory; "
        f"{len(runs['kabar'])} runs each, turn by turn. honcho starts the same processes from a "
        "Procfile after `kabar db upgrade`. Memory is PSS (USS where there is none), 1 s later.",
        "figures": [
            figure
            for name, found in contenders.items()
            for figure in (
                {"name": f"{name}, median", "value": found["seconds"], "unit": "s"},
                {"name": f"{name}, memory", "value": found["megabytes"], "unit": "MB"},
            )
        ],
        **contenders,
        "targets": TARGETS,
        "passed": all(kabar[unit] <= target for unit, target in TARGETS.items()),
    }


def summary(measured: list[Run]) -> dict[str, float]:
    seconds = [run.seconds for run in measured]
    return {
        "seconds": round(statistics.median(seconds), 2),
        "fastest": round(min(seconds), 2),
        "slowest": round(max(seconds), 2),
        "megabytes": round(max(run.megabytes for run in measured), 1),
        "processes": max(run.processes for run in measured),
    }


def table(found: dict[str, object]) -> Table:
    made = Table("", "median s", "fastest s", "slowest s", "MB", "processes", title="Start")
    for name in ("kabar", "honcho"):
        figures = found[name]
        assert isinstance(figures, dict)
        made.add_row(name, *map(str, figures.values()))
    made.add_row("target", str(TARGETS["seconds"]), "", "", str(TARGETS["megabytes"]), "")
    made.caption = "passed" if found["passed"] else "not passed"
    return made


if __name__ == "__main__":
    sys.exit(main())
