from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, RowMapping

from tests.conftest import MakeSettings
from tests.servers.valkey import Valkey
from tests.store.rows import change, row, rows
from tests.tasks.site import Site
from worker import tasks, webhooks
from worker.app import make_app
from worker.settings import STAGES, Settings
from worker.store import feeds
from worker.store import webhooks as webhook_statements
from worker.store.models import Article, Attempt, Delivery, Endpoint, Feed
from worker.store.sessions import read_now, reading
from worker.webhooks.events import EVENT_TYPES

LOOPBACK = {"allow_networks": ["127.0.0.0/8"]}


class Bench:
    """This process, set up for tasks as a pool process is, with a store and a broker of its own."""

    def __init__(self, settings: Settings, valkey: Valkey) -> None:
        self.settings = settings
        self.valkey = valkey
        self.secret = webhooks.generate_secret()
        self._app = make_app(settings)
        # As in a pool process: groups are committed, and stages woken, on another thread.
        self._app.set_default()
        # A batch is done when its task has ended, stragglers and all.
        tasks.start(settings, patience=60)

    @property
    def engine(self) -> Engine:
        return tasks.context().engine

    def follow(self, *urls: str) -> None:
        for url in urls:
            assert feeds.add(self.engine, url)

    def tell(self, url: str, name: str = "desk") -> None:
        """Have story alerts sent to `url`."""
        added = webhook_statements.add(
            self.engine,
            name,
            url,
            self.secret,
            event_types=EVENT_TYPES,
            allow_http=True,
            allow_private=True,
        )
        assert added

    def make_due(self) -> None:
        """Let every delay pass."""
        for model in (Feed, Article, Endpoint, Delivery):
            change(self.engine, model, due_at=self.now() - timedelta(seconds=1))
        change(self.engine, Endpoint, resting_until=None, rate_next_at=None)

    def now(self) -> datetime:
        """The store's time."""
        with reading(self.engine) as connection:
            return read_now(connection)

    def article(self, **where: Any) -> RowMapping:
        return row(self.engine, Article, **where)

    def articles(self, **where: Any) -> Sequence[RowMapping]:
        return rows(self.engine, Article, **where)

    def delivery(self) -> RowMapping:
        return row(self.engine, Delivery)

    def attempts(self) -> Sequence[RowMapping]:
        return rows(self.engine, Attempt)

    def woken(self) -> set[str]:
        """The stages for which exactly one wake-up waits; takes them off their queues."""
        found: set[str] = set()
        with self.valkey.client() as client:
            for stage in STAGES:
                if waiting := client.llen(f"kabar:{stage}"):
                    assert waiting == 1, (stage, waiting)
                    found.add(stage)
            client.flushall()
        return found

    def close(self) -> None:
        tasks.stop(0)
        self.engine.dispose()
        self._app.close()


MakeBench = Callable[..., Bench]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def make_bench(
    request: pytest.FixtureRequest, make_settings: MakeSettings, valkey: Valkey
) -> Iterator[MakeBench]:
    """Make a bench on SQLite, or on the store at `store_url`, with these settings."""
    made: list[Bench] = []

    def make(store_url: str | None = None, **overrides: Any) -> Bench:
        url = store_url or request.getfixturevalue("migrated_sqlite_url")
        defaults: dict[str, Any] = {
            "store": {"url": url},
            "broker": {"url": valkey.url},
            "http": LOOPBACK,
            "poll": {"backfill_alerts": True, "backfill": 1_000},
            "politeness": {"at_once": 64, "spacing_seconds": 0},
        }
        made.append(Bench(make_settings(**{**defaults, **overrides}), valkey))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """A bench on SQLite."""
    return make_bench()


@pytest.fixture(params=["sqlite", "postgres"])
def either_bench(request: pytest.FixtureRequest, make_bench: MakeBench) -> Bench:
    """A bench; the test runs once on each database."""
    return make_bench(request.getfixturevalue(f"migrated_{request.param}_url"))
