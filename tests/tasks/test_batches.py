"""Batches in which something outside does not keep its time: sitemaps, a hub, the broker."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest

from tests import waiting
from tests.http.peers import Handler, answer, stall
from tests.servers.valkey import Valkey
from tests.store.rows import change, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.running import running
from tests.tasks.site import Site, article, feed, held
from worker import feeds, tasks
from worker.http.politeness import host_of
from worker.store import hosts, writing
from worker.store.models import Endpoint, Feed, Subscription


def test_an_index_whose_sitemaps_hang_has_failed(make_bench: MakeBench, site: Site) -> None:
    """Each within its own limit, but all of them not within the batch's: put off, it would be asked
    for again and again.
    """
    bench = make_bench(http={"allow_networks": ["127.0.0.0/8"], "timeout_seconds": 3},
                       leases={"poll": 8})  # fmt: skip
    locations = "".join(f"<sitemap><loc>{site.url(f'/{n}.xml')}</loc></sitemap>" for n in range(3))
    site.routes = {f"/{n}.xml": stall() for n in range(3)}
    site.routes["/index.xml"] = answer(
        f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}'
        "</sitemapindex>".encode()
    )
    bench.follow(site.url("/index.xml"))
    tasks.poll()
    polled = row(bench.engine, Feed)
    assert (polled["failures"], polled["reason"]) == (1, "timeout")


class TestUnfinished:
    """A document that is not read by the batch's deadline."""

    @pytest.fixture(params=["sqlite", "postgres"])
    def bench(self, request: pytest.FixtureRequest, make_bench: MakeBench, site: Site) -> Bench:
        bench = make_bench(
            request.getfixturevalue(f"migrated_{request.param}_url"),
            http={"allow_networks": ["127.0.0.0/8"], "timeout_seconds": 2},
            leases={"poll": 6},
        )
        # Large, as it is read in a thread then.
        site.routes = {"/feed": feed(site.url("/page"), description="word " * 100_000)}
        bench.follow(site.url("/feed"))
        return bench

    def test_has_failed_after_a_few_times(
        self, bench: Bench, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        let_go, decide = Event(), feeds.decide

        def slowly(*arguments: Any) -> feeds.PollOutcome:
            let_go.wait(60)
            return decide(*arguments)

        monkeypatch.setattr(feeds, "decide", slowly)
        change(bench.engine, Feed, attempts=2)  # as two more such polls leave it
        tasks.poll()
        polled = row(bench.engine, Feed)
        assert (polled["attempts"], polled["failures"], polled["polled_at"]) == (3, 0, None)
        bench.make_due()
        tasks.poll()
        let_go.set()
        assert site.asked("/feed") == 1
        polled = row(bench.engine, Feed)
        assert (polled["attempts"], polled["failures"], polled["reason"]) == (0, 1, "timeout")
        assert "in time" in polled["detail"]
        interval = timedelta(seconds=bench.settings.poll.interval_seconds)
        assert polled["due_at"] > bench.now() + 1.5 * interval

    def test_is_read_if_the_third_time_is_in_time(self, bench: Bench) -> None:
        change(bench.engine, Feed, attempts=2)
        tasks.poll()
        polled = row(bench.engine, Feed)
        assert (polled["attempts"], polled["failures"]) == (0, 0)
        assert len(bench.articles()) == 1

    def test_a_host_that_wants_to_be_left_alone_counts_for_nothing(
        self, bench: Bench, site: Site
    ) -> None:
        with writing(bench.engine) as connection:
            until = bench.now() + timedelta(hours=1)
            hosts.cool_down(connection, host_of(site.url("/")), until)
        for _ in range(5):
            bench.make_due()
            tasks.poll()
        polled = row(bench.engine, Feed)
        assert (polled["attempts"], polled["failures"], polled["due_at"]) == (0, 0, until)
        assert site.requests == []

    def test_has_failed_whatever_its_host_wants(self, bench: Bench, site: Site) -> None:
        with writing(bench.engine) as connection:
            hosts.cool_down(connection, host_of(site.url("/")), bench.now() + timedelta(hours=1))
        change(bench.engine, Feed, attempts=3)
        tasks.poll()
        assert row(bench.engine, Feed)["failures"] == 1
        assert site.requests == []


@pytest.mark.slow
def test_a_frozen_broker_fails_no_outcome_that_is_stored(
    make_bench: MakeBench, site: Site, valkey: Valkey
) -> None:
    bench = make_bench()
    let_go = Event()
    site.routes = {"/feed": held(let_go, feed(site.url("/page")))}
    bench.follow(site.url("/feed"))
    errors: list[Exception] = []

    def poll() -> None:
        try:
            tasks.poll()
        except Exception as error:  # noqa: BLE001 - what the test looks at
            errors.append(error)

    batch = Thread(target=poll)
    batch.start()
    waiting.until(lambda: site.asked("/feed"), "the feed is asked for")
    valkey.child.send(signal.SIGSTOP)
    try:
        let_go.set()
        batch.join(60)
    finally:
        valkey.child.send(signal.SIGCONT)
    assert errors == []
    assert row(bench.engine, Feed)["failures"] == 0


def test_at_the_end_an_endpoint_that_is_served_is_given_back(
    make_bench: MakeBench, site: Site
) -> None:
    bench = make_bench()
    site.routes = {
        "/feed": feed(site.url("/page")), "/page": article("boat"), "/hook": stall(),
    }  # fmt: skip
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))
    for stage in (tasks.poll, tasks.fetch, tasks.process, tasks.translate, tasks.publish):
        stage()
    tasks.stop(0)
    tasks.start(bench.settings, patience=0.01)
    tasks.deliver()
    waiting.until(lambda: site.asked("/hook"), "the alert is sent")
    assert row(bench.engine, Endpoint)["lease_token"]
    tasks.stop(0)
    assert row(bench.engine, Endpoint)["lease_token"] is None


def pushed_by(hub: Site, site: Site) -> Handler:
    return answer(
        b"<rss version='2.0'><channel><title>The Ledger</title></channel></rss>",
        headers={"Link": f'<{hub.url("/hub")}>; rel="hub", <{site.url("/")}>; rel="self"'},
    )


@pytest.fixture
def hub() -> Iterator[Site]:
    with Site() as hub:
        yield hub


def test_a_feed_that_a_busy_hub_was_not_asked_for_keeps_no_other_waiting(
    make_bench: MakeBench, site: Site, hub: Site
) -> None:
    """It comes again only after its next poll."""
    bench = make_bench(
        websub={"callback_url": "https://news.example.com"},
        politeness={
            "at_once": 64,
            "spacing_seconds": 0,
            "hosts": {host_of(hub.url("/")): {"at_once": 1}},
        },
    )
    let_go = Event()
    hub.routes = {"/hub": held(let_go, answer(b"", 202))}
    site.routes = {f"/{name}": pushed_by(hub, site) for name in "abc"}
    bench.follow(site.url("/a"), site.url("/b"))
    with running(tasks.poll), bench.valkey.client() as client:
        places = f"kabar:host:{host_of(hub.url('/'))}:websub:queue"
        waiting.until(lambda: client.zcard(places), "the hub is too busy for one of them")
        let_go.set()
    assert len(rows(bench.engine, Subscription)) == 1
    bench.follow(site.url("/c"))
    tasks.poll()
    assert len(rows(bench.engine, Subscription)) == 2
