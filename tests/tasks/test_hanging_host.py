"""A host on which five hundred feeds hang, among five hundred good ones on hosts of their own."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from urllib.parse import urlsplit

import pytest
from sqlalchemy import ColumnElement, func, select, true, update

from bench._feeds import Feeds
from tests import waiting
from tests.tasks.conftest import Bench, MakeBench
from worker import tasks
from worker.store.models import Feed
from worker.store.sessions import reading, writing

COUNT = 500
BATCH = 100
AT_ONCE = 2
TIMEOUT_SECONDS = 100  # long after all good feeds were polled, on a busy machine too
HANGING = Feed.url.contains("/hanging/")
GOOD = ~HANGING


@pytest.fixture
def feeds() -> Iterator[Feeds]:
    with Feeds(COUNT, items=1, hanging=COUNT) as feeds:
        yield feeds


@pytest.fixture(params=["sqlite", "postgres"])
def polite_bench(request: pytest.FixtureRequest, make_bench: MakeBench, feeds: Feeds) -> Bench:
    """A bench that follows all the feeds, with the patience of production."""
    hanging_host = urlsplit(feeds.hanging[0]).netloc
    bench = make_bench(
        request.getfixturevalue(f"migrated_{request.param}_url"),
        http={"allow_networks": ["127.0.0.0/8"], "timeout_seconds": TIMEOUT_SECONDS},
        poll={"backfill": 0, "batch": BATCH},
        leases={"poll": 300, "fetch": 300},
        politeness={
            "at_once": AT_ONCE,
            "spacing_seconds": 0,  # the good ones are polled again and again
            "hosts": {hanging_host: {"spacing_seconds": 1}},
        },
    )
    tasks.start(bench.settings)
    bench.follow(*chain(*zip(feeds.urls, feeds.hanging, strict=True)))
    return bench


@pytest.mark.slow
def test_good_feeds_are_not_kept_waiting(polite_bench: Bench, feeds: Feeds) -> None:
    bench = polite_bench
    make_due(bench, HANGING, bench.now() + timedelta(days=1))
    assert batches_until_polled(bench, since=bench.now()) == COUNT / BATCH
    assert feeds.seen_hanging() == {"in_all": 0, "at_once": 0}

    # All come due at once: each batch has as many feeds of the hanging host as of the others.
    since = make_due(bench, true(), bench.now())
    assert batches_until_polled(bench, since) == 2 * COUNT / BATCH
    assert feeds.seen_hanging()["in_all"] > 0

    # By now they queue for their host: few of them are due at a time.
    since = make_due(bench, GOOD, bench.now())
    assert batches_until_polled(bench, since) <= COUNT / BATCH + 1

    assert count(bench, HANGING, Feed.polled_at.is_not(None)) == 0  # not one request has ended
    assert feeds.seen_hanging()["at_once"] <= AT_ONCE


def make_due(bench: Bench, which: ColumnElement[bool], at: datetime) -> datetime:
    with writing(bench.engine) as connection:
        connection.execute(update(Feed).where(which).values(due_at=at))
    return at


def batches_until_polled(bench: Bench, since: datetime) -> int:
    """Work on batches until all good feeds have been polled; how many that took."""
    batches = 0
    while left := count(bench, GOOD, Feed.polled_at.is_(None) | (Feed.polled_at < since)):
        if count(bench, GOOD, Feed.lease_token.is_(None), Feed.due_at <= bench.now()):
            tasks.poll()
            batches += 1
        else:  # a batch that its task did not wait for
            waiting.until(lambda: count(bench, GOOD, Feed.lease_token.is_not(None)) < left, "done")
    return batches


def count(bench: Bench, *which: ColumnElement[bool]) -> int:
    with reading(bench.engine) as connection:
        return connection.execute(select(func.count()).where(*which)).scalar_one()
