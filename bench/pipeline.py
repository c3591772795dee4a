"""How many articles a second go from the first poll to the last verified webhook on one machine.

    python -m bench.pipeline [--quick] [--check] [--json]

`kabar up` with two processes for the process stage, SQLite, its own Valkey and the engine `none`
polls generated sites whose pages weigh 100 to 250 KB. A page's weight decides this figure, and so
does what it is made of: two fifths are scripts and styles, the rest menus and teasers around an
article of 260 words, 6.5 elements a kilobyte. (120 real news pages of that weight have 6.3 a
kilobyte, and 41 % of scripts, styles and drawings.)

Beside it, turn by turn: trafilatura alone on the same pages, standard and with metadata, in two
processes, as the limit; and the script that one would write instead (`_peer.py`), sequential as
such scripts are. Sites and receiver run in a process of their own (`_sites.py`) on the same cores.
`--check` ends with 1 when Kabar is under its share of trafilatura's articles a second.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench.imports import MAXRSS_BYTES
from bench.startup import PYTHON, ROOT, Readiness, clean_environ, end
from worker.embedded.timings import held, tree
from worker.settings import STAGES
from worker.webhooks import generate_secret

TARGETS = {"share": 0.5}
ARTICLES, QUICK_ARTICLES = 500, 60
ROUNDS, QUICK_ROUNDS = 3, 1
PROCESSES = 2
WITHIN_SECONDS = 300.0
SETTINGS = {
    "KABAR_HTTP__ALLOW_NETWORKS": "127.0.0.0/8",
    "KABAR_POLL__BACKFILL": "100",
    "KABAR_POLL__BACKFILL_ALERTS": "true",
    # The sites share one host, and are ours.
    "KABAR_POLITENESS__AT_ONCE": "64",
    "KABAR_POLITENESS__SPACING_SECONDS": "0",
    "KABAR_TRANSLATE__ENGINES": "none",
    "KABAR_WORKERS__CPU": str(PROCESSES),
    "KABAR_LOG__FORMAT": "json",
}

COLUMNS = {
    "rate": ("throughput", "articles/s"),
    "share": ("share of the limit", ""),
    "cpu": ("CPU an article", "ms"),
    "startup": ("start-up", "s"),
    "megabytes": ("memory", "MB"),
}


@dataclass(frozen=True)
class Run:
    """`cpu` is milliseconds an article, `stages` what each part has of it."""

    rate: float
    cpu: float
    megabytes: float | None = None
    startup: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)


def main() -> int:
    options = parse()
    count = QUICK_ARTICLES if options.quick else ARTICLES
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    for number in range(QUICK_ROUNDS if options.quick else ROUNDS):
        for name, contender in CONTENDERS.items():
            # Not `TMPDIR`: a socket's path must stay short.
            with (
                tempfile.TemporaryDirectory(prefix="kabar-", dir="/tmp") as path,
                Sites(count) as sites,
            ):
                runs[name].append(contender(sites, Path(path)))
            print(f"round {number + 1}: {name}: {runs[name][-1]}", file=sys.stderr)
    found = report(runs, count)
    Console(stderr=options.json).print(table(found), stages_table(found))
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    quick = f"{QUICK_ARTICLES} articles in {QUICK_ROUNDS} round, not {ARTICLES} in {ROUNDS}"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--check", action="store_true", help="exit code 1 when under the target")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


class Sites:
    """News sites with `count` articles, and the receiver, while used as a context manager."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.secret = generate_secret()

    def __enter__(self) -> "Sites":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._sites", str(self.count), self.secret],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        where = self._hear()
        self.feeds: list[str] = where["feeds"]
        self.pages: list[str] = where["pages"]
        self.hook: str = where["hook"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def rate(self) -> float:
        """Articles a second, once each was alerted. Raises `RuntimeError` when not all is well."""
        heard = self._hear()
        if heard["problems"] or heard["refused"]:
            raise RuntimeError(f"not as it should be: {heard}")
        return self.count / float(heard["seconds"])

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        too_late = threading.Timer(WITHIN_SECONDS, self._process.kill)
        too_late.start()
        line = self._process.stdout.readline()
        too_late.cancel()
        if not line:
            raise RuntimeError(f"the sites ended, or were not done in {WITHIN_SECONDS:g} s")
        return dict(json.loads(line))


def kabar(sites: Sites, directory: Path) -> Run:
    """`kabar up`, measured from the moment at which it learns of the feeds."""
    log, feeds_file = directory / "log", directory / "feeds.toml"
    environ = {**clean_environ(directory), **SETTINGS, "KABAR_FEEDS_FILE": str(feeds_file)}
    with Readiness(directory) as readiness, log.open("wb") as stderr:
        environ["NOTIFY_SOCKET"] = readiness.expect("kabar")
        began = time.monotonic()
        process = subprocess.Popen([*PYTHON, "up"], env=environ, cwd=directory, stderr=stderr)
        try:
            readiness.wait(process, log)
            startup = time.monotonic() - began
            add_endpoint(sites, environ)
            before = cpu_seconds(process.pid)
            feeds_file.write_text("".join(f'[[feeds]]\nurl = "{url}"\n' for url in sites.feeds))
            rate = sites.rate()
            spent = cpu_seconds(process.pid)
            megabytes = sum(map(held, tree(process.pid))) / 1e6
        finally:
            end(process)
    spent.subtract(before)
    stages = {name: 1_000 * seconds / sites.count for name, seconds in shares(spent, log).items()}
    return Run(rate, sum(stages.values()), megabytes, startup, stages)


def add_endpoint(sites: Sites, environ: Mapping[str, str]) -> None:
    command = [*PYTHON, "endpoints", "add", "bench", sites.hook, "--secret", sites.secret]
    command += ["--allow-private", "--allow-http"]
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(pid: int) -> Counter[str]:
    """CPU seconds of the service so far: of pool processes as `pool`, of the others by role."""
    spent: Counter[str] = Counter()
    for process in map(psutil.Process, tree(pid)):
        times = process.cpu_times()
        role = role_of(process)
        spent[role] += times.user + times.system
        if role.startswith("node"):
            ended = times.children_user + times.children_system
            spent["pool"] += ended
    return spent


def role_of(process: psutil.Process) -> str:
    command = process.cmdline()
    roles = [word for option, word in pairwise(command) if option == "--role"]
    parent = process.parent()
    if roles and parent and "--role" in parent.cmdline():
        return "pool"
    if roles:
        return f"node {'+'.join(roles)}"
    if "valkey" in Path(command[0]).name:
        return "broker"
    return command[-1] if command[-1] in {"beat", "web"} else "supervision"


def shares(spent: Mapping[str, float], log: Path) -> dict[str, float]:
    """CPU seconds by stage, as the pool processes told when they ended, and by role for others."""
    stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for line in log.read_text(errors="replace").splitlines():
        if "pool process ends" in line:
            told = json.loads(line[line.index("{") :])
            stages[told["task"].removeprefix("kabar.")] += told["cpu_seconds"]
    if not all(stages.values()):
        raise RuntimeError(f"not every stage told what it took: {stages}")
    others = {role: seconds for role, seconds in spent.items() if role != "pool"}
    return {**stages, "around tasks": spent["pool"] - sum(stages.values()), **others}


def trafilatura(sites: Sites, _directory: Path) -> Run:
    """The extractor alone, on pages that are there already."""
    pages = [(url, get(url)) for url in sites.pages]
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(PROCESSES + 1)
    with context.Pool(PROCESSES, load, (ready, pages)) as pool:
        ready.wait(WITHIN_SECONDS)
        began = time.monotonic()
        cpu = pool.map(extract, range(len(pages)), chunksize=1)
        elapsed = time.monotonic() - began
    return Run(len(pages) / elapsed, 1_000 * statistics.fmean(cpu))


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


_pages: Sequence[tuple[str, bytes]] = ()


def load(ready: Barrier, pages: Sequence[tuple[str, bytes]]) -> None:
    """Make a process ready: imports, and what the extractor loads at its first page."""
    global _pages  # noqa: PLW0603 - what a pool process is given has no other place
    _pages = pages
    extract(0)
    ready.wait(WITHIN_SECONDS)


def extract(number: int) -> float:
    """CPU seconds for a page."""
    import trafilatura as library

    url, page = _pages[number]
    began = time.process_time()
    document = library.bare_extraction(page, url=url, with_metadata=True)
    assert document is not None
    assert not isinstance(document, dict)
    assert document.text
    assert document.title
    return time.process_time() - began


def peer(sites: Sites, directory: Path) -> Run:
    """The script one would write instead."""
    script = str(ROOT / "bench" / "_peer.py")
    command = [sys.executable, script, sites.hook, sites.secret, *sites.feeds]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            rate = sites.rate()
            _, _, usage = os.wait4(process.pid, 0)
        finally:
            process.kill()
    cpu = 1_000 * (usage.ru_utime + usage.ru_stime) / sites.count
    return Run(rate, cpu, usage.ru_maxrss * MAXRSS_BYTES / 1e6)


CONTENDERS: dict[str, Callable[[Sites, Path], Run]] = {
    "kabar": kabar,
    "trafilatura": trafilatura,
    "peer": peer,
}


def report(runs: Mapping[str, Sequence[Run]], count: int) -> dict[str, Any]:
    contenders = {name: summary(measured) for name, measured in runs.items()}
    pairs = zip(runs["kabar"], runs["trafilatura"], strict=True)
    share = round(statistics.median(one.rate / limit.rate for one, limit in pairs), 3)
    contenders["kabar"]["share"] = share
    return {
        "title": "From the first poll to the last verified webhook",
        "note": f"{count} generated articles on pages of 100 to 250 KB; medians of "
        f"{len(runs['kabar'])}, turn by turn. `kabar up` with SQLite and engine `none`, "
        "2 processes for the process stage; trafilatura alone, standard with metadata, in 2 "
        "processes is the limit; the peer is the script that one would write instead, one page "
        "after the other.",
        "figures": list(figures(contenders)),
        **contenders,
        "targets": TARGETS,
        "passed": share >= TARGETS["share"],
    }


def summary(measured: Sequence[Run]) -> dict[str, Any]:
    """Medians of the rounds; what a contender has not is left out."""
    found: dict[str, Any] = {
        name: round(statistics.median(values), digits)
        for name, digits in (("rate", 1), ("cpu", 1), ("megabytes", 0), ("startup", 1))
        if None not in (values := [getattr(run, name) for run in measured])
    }
    if stages := measured[0].stages:
        found["stages"] = {
            stage: round(statistics.median(run.stages[stage] for run in measured), 2)
            for stage in stages
        }
    return found


def figures(contenders: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, found in contenders.items():
        for key, (label, unit) in COLUMNS.items():
            if key in found:
                yield {"name": f"{name}, {label}", "value": found[key], "unit": unit}
    for stage, milliseconds in contenders["kabar"]["stages"].items():
        yield {"name": f"kabar, CPU an article: {stage}", "value": milliseconds, "unit": "ms"}


def table(found: Mapping[str, Any]) -> Table:
    made = Table("", *(f"{label}\n{unit}" for label, unit in COLUMNS.values()), title="Pipeline")
    for name in CONTENDERS:
        made.add_row(name, *(str(found[name].get(key, "")) for key in COLUMNS))
    made.add_row("target", *(str(TARGETS.get(key, "")) for key in COLUMNS))
    made.caption = "passed" if found["passed"] else "not passed"
    return made


def stages_table(found: Mapping[str, Any]) -> Table:
    made = Table("kabar", "CPU ms an article", title="What spends it")
    for stage, milliseconds in found["kabar"]["stages"].items():
        made.add_row(stage, f"{milliseconds:.2f}")
    return made


if __name__ == "__main__":
    sys.exit(main())
