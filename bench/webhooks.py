"""What sending webhooks costs, and whether bad endpoints delay the good ones.

    python -m bench.webhooks [--quick] [--check] [--json]

Twenty endpoints, each a port of its own on loopback, in one process that is not Kabar's. Kabar is
what runs in production: beat, a `control` and an `io` worker with one process, a Valkey, and SQLite
or PostgreSQL. An event is told as `publish` tells it: in a transaction, then `deliver` is woken.

A flood tells of all events in one transaction: 10,000 deliveries, four at a time to each endpoint.
Its throughput is held against a loop of aiohttp that posts as many with the same concurrency,
signed, and stores nothing. A stream tells of them at a steady pace, so that nothing queues. Both
are run before and with five bad endpoints: three take connections and never answer, two answer 500.
Before, these five are paused. Latency runs from before an event's transaction until its receiver
has it; only the other fifteen count.

All signatures are judged by the library that receivers have. The PostgreSQL is the tests' own,
which waits for no disk.

`--check` ends with 1 when the throughput of a flood with the bad ones is under its share of the
loop's, or when with them the 95th percentile is over its multiple of the one before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, func, select

from bench._feeds import ROOT
from bench._receivers import Receivers
from bench.polling import cpu_seconds, working_directory
from tests.servers import postgres
from tests.servers.kabar import Kabar
from tests.servers.valkey import Valkey
from worker import webhooks
from worker.app import make_app
from worker.demo import generator
from worker.settings import BrokerSettings, Settings, StoreSettings
from worker.store import models, open_engine
from worker.store import webhooks as statements
from worker.store.sessions import read_now, reading, writing
from worker.tasks import Wakes
from worker.webhooks.events import EVENT_TYPES

TARGETS = {"share": 0.4, "ratio": 1.2}
ENDPOINTS = 20
HANGING, FAILING = range(3), range(3, 5)  # by their places
BAD = frozenset({*HANGING, *FAILING})
EVENTS, QUICK_EVENTS = 500, 60  # each to all endpoints
TURNS = 3
EVENTS_A_SECOND = 10
AT_ONCE = 4  # as `webhooks.max_in_flight`
WITHIN_SECONDS = 300.0
LOOK_SECONDS = 0.02
SETTINGS = {"KABAR_WORKERS__IO": "1"}
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}
ROUNDS = {
    "flood_before": "flood, before",
    "flood": "flood, with bad ones",
    "stream_before": "stream, before",
    "stream": "stream, with bad ones",
}
LABELS = {"kabar": "Kabar, SQLite", "kabar_postgresql": "Kabar, PostgreSQL"}


@dataclass(frozen=True)
class Run:
    """What came of a round: deliveries accepted a second, CPU milliseconds of the sender for each,
    and the latencies of those to good endpoints, in seconds.
    """

    rate: float
    cpu: float
    latencies: Sequence[float] = ()


def main() -> int:
    options = parse()
    events = QUICK_EVENTS if options.quick else EVENTS
    turns = 1 if options.quick else TURNS
    secret = webhooks.generate_secret()
    with Receivers(secret, ENDPOINTS) as receivers, Limit(receivers, secret, events) as limit:
        limit.turn()  # what comes later finds all loaded
        runs = {
            name: [*contender(receivers, secret, limit, turns)]
            for name, contender in CONTENDERS.items()
        }
    found = report(runs, events)
    Console(stderr=options.json).print(table(found))
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    quick = f"{QUICK_EVENTS} events in 1 turn, not {EVENTS} in {TURNS}"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--check", action="store_true", help="exit code 1 when a target is missed")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


class Limit:
    """`_posts.py`, while used as a context manager."""

    def __init__(self, receivers: Receivers, secret: str, events: int) -> None:
        self.events = events
        self._receivers = receivers
        self._command = [sys.executable, "-m", "bench._posts", secret]
        body = webhooks.story_created(next(stories()), datetime.now(UTC)).body.decode()
        self._order = {"urls": receivers.urls, "body": body, "each": events, "at_once": AT_ONCE}

    def __enter__(self) -> "Limit":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def turn(self) -> Run:
        """As many deliveries as a flood has."""
        assert self._process.stdin
        assert self._process.stdout
        self._receivers.begin()
        number = ENDPOINTS * self.events
        before = cpu_seconds([self._process.pid])
        self._process.stdin.write(json.dumps(self._order) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        spent = cpu_seconds([self._process.pid]) - before
        if said["failed"] or len(self._receivers.accepted()) != number:
            raise RuntimeError(f"not all of the limit's were accepted: {said}")
        return Run(number / said["seconds"], 1_000 * spent / number)


Turn = dict[str, Run]  # by the names of `ROUNDS`, and `limit`


def kabar(receivers: Receivers, secret: str, limit: Limit, turns: int) -> Iterator[Turn]:
    """Kabar on SQLite."""
    with working_directory() as directory:
        url = f"sqlite:///{directory / 'kabar.db'}"
        yield from measure(receivers, secret, limit, turns, directory, url)


def kabar_postgresql(receivers: Receivers, secret: str, limit: Limit, turns: int) -> Iterator[Turn]:
    """Kabar on a PostgreSQL of its own."""
    server = postgres.start()
    try:
        with working_directory() as directory:
            url = server.create_database()
            yield from measure(receivers, secret, limit, turns, directory, url)
    finally:
        server.stop()


CONTENDERS: Mapping[str, Callable[[Receivers, str, Limit, int], Iterator[Turn]]] = {
    "kabar": kabar,
    "kabar_postgresql": kabar_postgresql,
}


def measure(
    receivers: Receivers, secret: str, limit: Limit, turns: int, directory: Path, store_url: str
) -> Iterator[Turn]:
    """So many turns of floods on this store, each beside the limit's; the last one has streams."""
    with service(receivers, secret, directory, store_url) as kabar:
        receivers.begin()
        kabar.flood(QUICK_EVENTS)  # what comes later finds all loaded
        for number in range(turns):
            kabar.rest()
            done = {"limit": limit.turn()}
            for name in ROUNDS:
                if name.startswith("flood") or number == turns - 1:
                    kabar.prepare(with_bad=not name.endswith("_before"))
                    run = kabar.flood if name.startswith("flood") else kabar.stream
                    done[name] = run(limit.events)
            for name, each in done.items():
                shown = percentiles([each]) if each.latencies else ""
                print(f"{store_url.split(':')[0]}, turn {number}, {name}: {each.rate:.0f}/s, "
                      f"{each.cpu:.2f} ms CPU {shown}", file=sys.stderr)  # fmt: skip
            yield done


@contextmanager
def service(
    receivers: Receivers, secret: str, directory: Path, store_url: str
) -> Iterator["Service"]:
    """Kabar's processes on this store."""
    with Valkey() as broker, ExitStack() as stack:
        environ = {**SETTINGS, "KABAR_STORE__URL": store_url, "KABAR_BROKER__URL": broker.url}
        processes = Kabar(directory, environ)
        stack.callback(processes.close)
        if (done := processes.run("db", "upgrade")).returncode:
            raise RuntimeError(f"the store could not be made: {done.stderr}")
        settings = Settings(
            store=StoreSettings(url=store_url), broker=BrokerSettings(url=broker.url)
        )
        engine = open_engine(settings)
        stack.callback(engine.dispose)
        for place, url in enumerate(receivers.urls):
            statements.add(engine, f"e{place}", url, secret, event_types=EVENT_TYPES,
                           allow_private=True, allow_http=True)  # fmt: skip
        processes.start("worker", "--role", "control")
        processes.start("beat")
        io = processes.start("worker", "--role", "io")
        app = make_app(settings)
        stack.callback(app.close)
        app.set_default()
        yield Service(engine, Wakes(broker.url), receivers, io.pid)


class Service:
    """Rounds of Kabar: events are told by way of the store, and seen to come."""

    def __init__(self, engine: Engine, wakes: Wakes, receivers: Receivers, worker: int) -> None:
        self._engine = engine
        self._wakes = wakes
        self._receivers = receivers
        self._worker = worker
        self._stories = stories()
        self._good = frozenset(range(ENDPOINTS))

    def prepare(self, *, with_bad: bool) -> None:
        """As if nothing had been sent yet; the bad endpoints are so, or paused."""
        self.rest()
        self._receivers.begin(hanging=HANGING, failing=FAILING)
        for row in statements.listing(self._engine):
            statements.resume(self._engine, row["id"])
            if int(row["name"][1:]) in BAD and not with_bad:
                statements.pause(self._engine, row["id"])
        self._good = frozenset(range(ENDPOINTS)) - BAD

    def rest(self) -> None:
        """Let what is being sent end, and send nothing any more."""
        self._receivers.begin()  # nothing hangs any more
        statements.cancel(self._engine, statements.Wanted(state="pending"))
        self._wait(lambda: not self._leased(), "no endpoint is leased")

    def flood(self, number: int) -> Run:
        """Tell of so many events at once."""
        return self._run([list(islice(self._stories, number))])

    def stream(self, number: int) -> Run:
        """Tell of so many events one by one."""
        return self._run([[story] for story in islice(self._stories, number)])

    def _run(self, groups: Sequence[Sequence[webhooks.StoryFacts]]) -> Run:
        spent = cpu_seconds([self._worker])
        began = time.monotonic()
        told: dict[str, float] = {}
        for turn, group in enumerate(groups):
            time.sleep(max(0.0, began + turn / EVENTS_A_SECOND - time.monotonic()))
            self._tell(group, told)
            if not turn:
                began = time.monotonic()  # what there is to send is there
        expected = len(told) * len(self._good)
        self._wait(lambda: self._receivers.count() >= expected, f"{expected} deliveries")
        elapsed = time.monotonic() - began
        spent = cpu_seconds([self._worker]) - spent
        accepted = self._receivers.accepted()
        if len(accepted) != expected:
            raise RuntimeError(f"{len(accepted)} deliveries, not {expected}")
        latencies = [at - told[webhook_id] for _, webhook_id, at in accepted]
        return Run(expected / elapsed, 1_000 * spent / expected, latencies)

    def _tell(self, group: Sequence[webhooks.StoryFacts], told: dict[str, float]) -> None:
        at = time.time()
        with writing(self._engine) as connection:
            now = read_now(connection)
            listeners = statements.listeners(connection)
            for story in group:
                event = webhooks.story_created(story, now)
                statements.tell(connection, event, listeners)
                told[event.webhook_id] = at
        self._wakes.wake("deliver")

    def _leased(self) -> int:
        leased = select(func.count()).where(models.Endpoint.lease_token.is_not(None))
        with reading(self._engine) as connection:
            return connection.execute(leased).scalar_one()

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + WITHIN_SECONDS
        while not is_so():
            if time.monotonic() > until:
                raise RuntimeError(f"not within {WITHIN_SECONDS:g} s: {what}")
            time.sleep(LOOK_SECONDS)


def stories() -> Iterator[webhooks.StoryFacts]:
    """Stories without end, translated."""
    for number, article in enumerate(generator.articles(seed=1, words=60), start=1):
        url = f"https://ledger.example/news/{article.slug}"
        english = {"title": article.title, "summary": article.summary, "engine": "firefox",
                   "model": "iden", "quality": []}  # fmt: skip
        yield webhooks.StoryFacts(
            story_id=number,
            article_id=number,
            title=article.title,
            summary=article.summary,
            language=article.language,
            url=url,
            published_at=article.published_at,
            first_seen_at=article.published_at,
            translations={"en": english},
            translation_status="translated",
            publisher="Ledger",
            authors=[article.author],
            credited_sources=[article.source],
            topics=[article.section, *article.tags],
            word_count=article.words,
            image=f"{url}.jpg",
            degradations=[],
            feed_id=1,
            feed_title="Ledger",
            feed_url="https://ledger.example/feed.xml",
        )


def report(runs: Mapping[str, Sequence[Turn]], events: int) -> dict[str, Any]:
    contenders = {name: summary(turns) for name, turns in runs.items()}
    every = [turn["limit"] for turns in runs.values() for turn in turns]
    bare = {"rate": median(run.rate for run in every), "cpu": median(run.cpu for run in every)}
    return {
        "title": "Webhooks",
        "note": f"{events:,} events to {ENDPOINTS} endpoints on loopback: "
        f"{events * ENDPOINTS:,} deliveries, of which those to {len(BAD)} are not counted: "
        f"{len(HANGING)} endpoints never answer, {len(FAILING)} answer 500; before, these are "
        f"paused. A flood is told at once, a stream {EVENTS_A_SECOND} events a second. Latency is "
        "from before the event's transaction until its receiver has it. Kabar runs one `io` "
        "process; receivers, broker and store are on the same cores. The limit is a loop of "
        f"aiohttp that signs, posts {AT_ONCE} at a time to each endpoint, and stores nothing; "
        f"floods are medians of {len(runs['kabar'])}, turn by turn with it.",
        "figures": [*figures(contenders), {"name": "limit", "value": bare["rate"], "unit": "/s"}],
        **contenders,
        "limit": bare,
        "targets": TARGETS,
        "passed": all(is_good(found) for found in contenders.values()),
    }


def summary(turns: Sequence[Turn]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ROUNDS:
        mine = [turn[name] for turn in turns if name in turn]
        found[name] = {
            "rate": median(run.rate for run in mine),
            "cpu": median(run.cpu for run in mine),
            **percentiles(mine),
        }
    found["share"] = median(turn["flood"].rate / turn["limit"].rate for turn in turns)
    for kind in ("flood", "stream"):
        both = [turn for turn in turns if kind in turn]
        ratios = [p95(turn[kind]) / p95(turn[f"{kind}_before"]) for turn in both]
        found[f"{kind}_ratio"] = median(ratios)
    return found


def percentiles(runs: Sequence[Run]) -> dict[str, float]:
    """Medians of the runs' percentiles, in seconds."""
    cuts = [statistics.quantiles(run.latencies, n=100, method="inclusive") for run in runs]
    return {name: median(cut[each - 1] for cut in cuts) for name, each in PERCENTILES.items()}


def p95(run: Run) -> float:
    return percentiles([run])["p95"]


def median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 4)


def is_good(found: Mapping[str, Any]) -> bool:
    ratio = max(found["flood_ratio"], found["stream_ratio"])
    return bool(found["share"] >= TARGETS["share"] and ratio <= TARGETS["ratio"])


def figures(contenders: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, found in contenders.items():
        for key, label in ROUNDS.items():
            if key.startswith("flood"):
                value = found[key]["rate"]
                yield {"name": f"{LABELS[name]}, {label}", "value": value, "unit": "/s"}
            for percent in PERCENTILES:
                value = found[key][percent]
                yield {"name": f"{LABELS[name]}, {label}, {percent}", "value": value, "unit": "s"}
        for key, label in (
            ("share", "flood with bad ones, of the limit"),
            ("flood_ratio", "flood, p95 to the one before"),
            ("stream_ratio", "stream, p95 to the one before"),
        ):
            yield {"name": f"{LABELS[name]}, {label}", "value": found[key], "unit": ""}


def table(found: Mapping[str, Any]) -> Table:
    made = Table(
        "", "deliveries\n/s", "CPU\nms each", *(f"{one}\ns" for one in PERCENTILES), "share",
        "p95\nratio", title="Webhooks",
    )  # fmt: skip
    for name in CONTENDERS:
        mine = found[name]
        for key, label in ROUNDS.items():
            run = mine[key]
            made.add_row(
                f"{LABELS[name]}: {label}",
                f"{run['rate']:,.0f}",
                f"{run['cpu']:.2f}",
                *(f"{run[one]:.3f}" for one in PERCENTILES),
                f"{mine['share']:.2f}" if key == "flood" else "",
                f"{mine[f'{key}_ratio']:.2f}" if key in ("flood", "stream") else "",
            )
    limit = found["limit"]
    made.add_row("limit", f"{limit['rate']:,.0f}", f"{limit['cpu']:.2f}")
    made.add_row("target", "", "", "", "", "", str(TARGETS["share"]), str(TARGETS["ratio"]))
    made.caption = "passed" if found["passed"] else "not passed"
    return made


if __name__ == "__main__":
    sys.exit(main())
