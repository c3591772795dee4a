"""What a poll of a feed costs, on 2,000 of them: Kabar, the library `reader`, and the limit.

    python -m bench.polling [--quick] [--check] [--json] [--plot FILE] [--feeds COUNT]

Each feed is on a loopback address of its own, so that politeness stays on, and a document is 30
items in full text (`_feeds.py`). In a round, 70 % of the feeds answer 304, 20 % send an unchanged
200 whatever the validators, and 10 % have two new items.

Kabar is what runs in production: beat, a `control` and an `io` worker with one process, a Valkey,
and SQLite or PostgreSQL. Its `io` worker serves the queue `poll` alone, so that what becomes of new
items is not measured; that they wake the next stage is, and those wake-ups are taken off the broker
as a worker of that stage would. A round begins when all feeds are made due, and ends when each was
polled: what the dispatcher waits for its next tick is part of it. The PostgreSQL is the tests' own,
which waits for no disk: that helps its feeds a second, and is no part of the worker's CPU.

`reader` runs `update_feeds` with 16 threads on a database in a file. The limit is a loop of aiohttp
with 100 requests at once that sends validators, and lets feedparser read the changed 10 %, with
Kabar's options. The first round of all, at which every feed is new, is not counted.

`--check` ends with 1 when Kabar is under its share of the limit, or of `reader`: both by the CPU
that the polling processes spend on a feed (of Kabar: the `io` worker's; broker, store and
dispatcher are told apart).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import ColumnElement, Engine, func, select, update

from bench._feeds import NEW_ITEMS, ROOT, Feeds
from tests.servers import postgres
from tests.servers.kabar import Kabar
from tests.servers.valkey import Valkey
from worker.broker import KEY_PREFIX
from worker.embedded.timings import tree
from worker.settings import Settings, StoreSettings
from worker.store import open_engine
from worker.store.models import Article, Feed
from worker.store.sessions import read_now, reading, writing

TARGETS = {"share": 0.6, "share_postgresql": 0.5, "times_reader": 8.0}
FEEDS, QUICK_FEEDS = 2_000, 200
ROUNDS, QUICK_ROUNDS = 3, 1
WITHIN_SECONDS = 900.0
LOOK_SECONDS = 0.05
PAUSE_SECONDS = 1.5  # longer than a host wants between two requests
SETTINGS = {
    "KABAR_HTTP__ALLOW_NETWORKS": "127.0.0.0/8",
    "KABAR_POLL__BACKFILL": "0",
    "KABAR_WORKERS__IO": "1",
}
COLUMNS = {
    "cpu": ("CPU a feed", "ms"),
    "rate": ("throughput", "feeds/s"),
    "share": ("of the limit by CPU", ""),
    "wall_share": ("of the limit by time", ""),
    "times_reader": ("reader by CPU", "times"),
}


@dataclass(frozen=True)
class Run:
    """One round: feeds a second, and CPU milliseconds a feed of the poller and of `others`."""

    rate: float
    cpu: float
    others: Mapping[str, float] = field(default_factory=dict)


Turn = Callable[[], Run]


def main() -> int:
    options = parse()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    count = options.feeds or (QUICK_FEEDS if options.quick else FEEDS)
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    with Feeds(count) as feeds, ExitStack() as stack:
        turns = {
            name: stack.enter_context(contender(feeds)) for name, contender in CONTENDERS.items()
        }
        for number in range(rounds + 1):
            for name, turn in turns.items():
                feeds.close_connections()
                time.sleep(PAUSE_SECONDS)
                run = turn()
                if number:
                    runs[name].append(run)
                print(f"round {number}: {name}: {run}", file=sys.stderr)
            feeds.next_round()
    found = report(runs, count)
    Console(stderr=options.json).print(table(found), others_table(found))
    if options.plot:
        options.plot.write_text(plot(found))
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    quick = f"{QUICK_FEEDS} feeds in {QUICK_ROUNDS} round, not {FEEDS} in {ROUNDS}"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--check", action="store_true", help="exit code 1 when under a target")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the result, as SVG")
    parser.add_argument("--feeds", type=int, metavar="COUNT", help="another number of feeds")
    return parser.parse_args()


@contextmanager
def kabar(feeds: Feeds) -> Iterator[Turn]:
    """Kabar on SQLite."""
    with working_directory() as directory:
        yield from service(feeds, directory, f"sqlite:///{directory / 'kabar.db'}", {})


@contextmanager
def kabar_postgresql(feeds: Feeds) -> Iterator[Turn]:
    """Kabar on a PostgreSQL of its own."""
    server = postgres.start()
    try:
        with working_directory() as directory:
            url = server.create_database()
            yield from service(feeds, directory, url, {"PostgreSQL": [server.pid]})
    finally:
        server.stop()


def service(
    feeds: Feeds, directory: Path, store_url: str, others: Mapping[str, Sequence[int]]
) -> Iterator[Turn]:
    """Kabar's processes on this store; `others` are processes to be watched beside them."""
    feeds_file = directory / "feeds.toml"
    settings = Settings(store=StoreSettings(url=store_url))
    with Valkey() as broker, ExitStack() as stack:
        environ = {
            **SETTINGS,
            "KABAR_STORE__URL": store_url,
            "KABAR_BROKER__URL": broker.url,
            "KABAR_FEEDS_FILE": str(feeds_file),
        }
        processes = Kabar(directory, environ, "bench._worker")
        stack.callback(processes.close)
        if (done := processes.run("db", "upgrade")).returncode:
            raise RuntimeError(f"the store could not be made: {done.stderr}")
        control = [processes.start("worker", "--role", "control"), processes.start("beat")]
        io = processes.start("worker", "--role", "io")
        engine = open_engine(settings)
        stack.callback(engine.dispose)
        feeds_file.write_text("".join(f'[[feeds]]\nurl = "{url}"\n' for url in feeds.urls))
        watched = {
            "poller": [io.pid],
            "dispatcher": [process.pid for process in control],
            "Valkey": [broker.child.pid],
            **others,
        }
        yield Service(engine, broker, feeds, watched).turn


class Service:
    """Rounds of Kabar: by the store they are begun, and seen to be done."""

    def __init__(
        self, engine: Engine, broker: Valkey, feeds: Feeds, watched: Mapping[str, Sequence[int]]
    ) -> None:
        self._engine = engine
        self._broker = broker
        self._feeds = feeds
        self._watched = watched
        self._articles = 0
        self._is_first = True

    def turn(self) -> Run:
        count = len(self._feeds.urls)
        before = {name: cpu_seconds(pids) for name, pids in self._watched.items()}
        began = time.monotonic()
        self._wait(count, self._make_due())
        elapsed = time.monotonic() - began
        time.sleep(LOOK_SECONDS)  # the last batch's own end
        spent = {name: cpu_seconds(pids) - before[name] for name, pids in self._watched.items()}
        self._check()
        self._rest()
        milliseconds = {name: 1_000 * seconds / count for name, seconds in spent.items()}
        return Run(count / elapsed, milliseconds.pop("poller"), milliseconds)

    def _make_due(self) -> ColumnElement[bool]:
        """Make all feeds due; returns what holds for a feed once it was polled."""
        if self._is_first:
            return Feed.polled_at.is_not(None)  # they are new, and so due by themselves
        with writing(self._engine) as connection:
            now = read_now(connection)
            connection.execute(update(Feed).values(due_at=now))
        return Feed.polled_at >= now

    def _wait(self, count: int, is_polled: ColumnElement[bool]) -> None:
        polled = select(func.count()).where(is_polled)
        deadline = time.monotonic() + WITHIN_SECONDS
        with self._broker.client() as client:
            while True:
                # As a worker of the next stage takes a wake-up: the next one is published again.
                client.delete(f"{KEY_PREFIX}fetch", f"{KEY_PREFIX}wake:fetch")
                with reading(self._engine) as connection:
                    done = connection.execute(polled).scalar_one()
                if done == count:
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{done} of {count} feeds in {WITHIN_SECONDS:g} s")
                time.sleep(LOOK_SECONDS)

    def _check(self) -> None:
        """Raises `RuntimeError` unless all went well and each new item became an article."""
        failed = select(Feed.url, Feed.reason, Feed.detail).where(Feed.reason.is_not(None))
        with reading(self._engine) as connection:
            failures = connection.execute(failed.limit(3)).all()
            articles = connection.execute(select(func.count(Article.id))).scalar_one()
        new, self._articles = articles - self._articles, articles
        expected = 0 if self._is_first else self._feeds.changing * NEW_ITEMS
        self._is_first = False
        if failures or new != expected:
            raise RuntimeError(f"{new} new articles, not {expected}; failed: {failures}")

    def _rest(self) -> None:
        """Nothing is to be due while others have their turn."""
        with writing(self._engine) as connection:
            later = read_now(connection) + timedelta(days=1)
            connection.execute(update(Feed).values(due_at=later))


def cpu_seconds(roots: Sequence[int]) -> float:
    """What these processes have spent so far, those that they started, and those that ended."""
    spent = 0.0
    for root in roots:
        ended = psutil.Process(root).cpu_times()
        spent += ended.children_user + ended.children_system
        for pid in tree(root):
            times = psutil.Process(pid).cpu_times()
            spent += times.user + times.system
    return spent


def peer(name: str) -> Callable[[Feeds], AbstractContextManager[Turn]]:
    """A contender of `_pollers.py`."""

    @contextmanager
    def contender(feeds: Feeds) -> Iterator[Turn]:
        with working_directory() as directory:
            command = [sys.executable, "-m", "bench._pollers", name, str(directory / "store")]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
            )
            try:
                ask(process, feeds.urls)
                yield Peer(process, feeds).turn
            finally:
                process.communicate(timeout=60)

    return contender


class Peer:
    """Rounds of a poller that runs when it is told to."""

    def __init__(self, process: subprocess.Popen[bytes], feeds: Feeds) -> None:
        self._process = process
        self._feeds = feeds
        self._is_first = True

    def turn(self) -> Run:
        count = len(self._feeds.urls)
        before = cpu_seconds([self._process.pid])
        began = time.monotonic()
        said = ask(self._process, "round")
        elapsed = time.monotonic() - began
        spent = cpu_seconds([self._process.pid]) - before
        expected = count if self._is_first else self._feeds.changing
        self._is_first = False
        if said["failed"] or said["changed"] != expected:
            raise RuntimeError(f"not {expected} changed: {said}")
        return Run(count / elapsed, 1_000 * spent / count)


def ask(process: subprocess.Popen[bytes], what: object) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(what).encode() + b"\n")
    process.stdin.flush()
    too_late = threading.Timer(WITHIN_SECONDS, process.kill)
    too_late.start()
    line = process.stdout.readline()
    too_late.cancel()
    if not line:
        raise RuntimeError(f"a poller ended, or was not done in {WITHIN_SECONDS:g} s")
    return dict(json.loads(line))


@contextmanager
def working_directory() -> Iterator[Path]:
    # Not `TMPDIR`: a socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="kabar-", dir="/tmp") as path:
        yield Path(path)


CONTENDERS: dict[str, Callable[[Feeds], AbstractContextManager[Turn]]] = {
    "kabar": kabar,
    "kabar_postgresql": kabar_postgresql,
    "limit": peer("limit"),
    "reader": peer("reader"),
}
LABELS = {
    "kabar": "Kabar, SQLite",
    "kabar_postgresql": "Kabar, PostgreSQL",
    "limit": "limit",
    "reader": "reader",
}


def report(runs: Mapping[str, Sequence[Run]], count: int) -> dict[str, Any]:
    contenders = {name: summary(name, runs) for name in runs}
    return {
        "title": "Polling",
        "note": f"{count:,} generated feeds on loopback, each on an address of its own: 70 % "
        "answer 304, 20 % an unchanged 200, 10 % have two new items; documents are 30 items in "
        f"full text. Medians of {len(runs['kabar'])}, turn by turn, after a first round at which "
        "all is new. CPU a feed is the polling process's own (Kabar: the `io` worker, one process, "
        "serving the poll stage alone); dispatcher, broker and PostgreSQL (the tests' own, without "
        "fsync) are named beside it. "
        "`reader` runs 16 threads; the limit is a loop of aiohttp, 100 at once, that stores "
        "nothing and parses the changed 10 % alone, with Kabar's feedparser options.",
        "figures": list(figures(contenders)),
        **contenders,
        "targets": TARGETS,
        "passed": passed(contenders),
    }


def summary(name: str, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Medians of the rounds, and of the ratios within each round."""
    mine = runs[name]
    found: dict[str, Any] = {
        "cpu": round(statistics.median(run.cpu for run in mine), 3),
        "rate": round(statistics.median(run.rate for run in mine), 1),
        "share": ratio(runs["limit"], mine, by="cpu"),
        "wall_share": ratio(mine, runs["limit"], by="rate"),
        "times_reader": ratio(runs["reader"], mine, by="cpu"),
    }
    if mine[0].others:
        found["others"] = {
            other: round(statistics.median(run.others[other] for run in mine), 3)
            for other in mine[0].others
        }
    return found


def ratio(over: Sequence[Run], under: Sequence[Run], *, by: str) -> float:
    ratios = [getattr(a, by) / getattr(b, by) for a, b in zip(over, under, strict=True)]
    return float(round(statistics.median(ratios), 3))


def passed(contenders: Mapping[str, Mapping[str, Any]]) -> bool:
    sqlite, postgresql = contenders["kabar"], contenders["kabar_postgresql"]
    return bool(
        sqlite["share"] >= TARGETS["share"]
        and postgresql["share"] >= TARGETS["share_postgresql"]
        and min(sqlite["times_reader"], postgresql["times_reader"]) >= TARGETS["times_reader"]
    )


def figures(contenders: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, found in contenders.items():
        for key, (label, unit) in COLUMNS.items():
            yield {"name": f"{LABELS[name]}, {label}", "value": found[key], "unit": unit}
        for other, milliseconds in found.get("others", {}).items():
            label = f"{LABELS[name]}, CPU a feed of {other}"
            yield {"name": label, "value": milliseconds, "unit": "ms"}


def table(found: Mapping[str, Any]) -> Table:
    made = Table("", *(f"{label}\n{unit}" for label, unit in COLUMNS.values()), title="Polling")
    for name, label in LABELS.items():
        made.add_row(label, *(f"{found[name][key]:.2f}" for key in COLUMNS))
    reader = str(TARGETS["times_reader"])
    made.add_row("target, SQLite", "", "", str(TARGETS["share"]), "", reader)
    made.add_row("target, PostgreSQL", "", "", str(TARGETS["share_postgresql"]), "", reader)
    made.caption = "passed" if found["passed"] else "not passed"
    return made


def others_table(found: Mapping[str, Any]) -> Table:
    made = Table("beside the io worker", "CPU ms a feed", title="Others")
    for name, label in LABELS.items():
        for other, milliseconds in found[name].get("others", {}).items():
            made.add_row(f"{label}: {other}", f"{milliseconds:.2f}")
    return made


STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}"
    ".ours{fill:#1a7f5a}.theirs{fill:#8c959f}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#3fb98a}.theirs{fill:#7d8590}}"
)
LEFT, WIDEST, RIGHT, ROW = 150, 400, 90, 26


def plot(found: Mapping[str, Any]) -> str:
    """Two bar charts, one above the other, as SVG; for light and dark pages."""
    parts, top = [], 10
    for key in ("cpu", "rate"):
        label, unit = COLUMNS[key]
        best = "less is better" if key == "cpu" else "more is better"
        parts.append(f'<text class="title" x="10" y="{top + 14}">{label}, {unit} ({best})</text>')
        parts += bars({name: found[name][key] for name in LABELS}, top + ROW)
        top += ROW * (len(LABELS) + 1) + 20
    width = LEFT + WIDEST + RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" '
        f'height="{top}" role="img"><title>{escape(found["title"])}</title>'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def bars(values: Mapping[str, float], top: int) -> Iterator[str]:
    most = max(values.values())
    for position, (name, value) in enumerate(values.items()):
        y = top + ROW * position
        width = max(WIDEST * value / most, 1)
        kind = "ours" if name.startswith("kabar") else "theirs"
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
        yield (
            f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(LABELS[name])}</text>'
            f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{width:.1f}" height="18" rx="2"/>'
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 15}">{shown}</text>'
        )


if __name__ == "__main__":
    sys.exit(main())
