"""The fetch stage's manners: robots.txt, spacing, cool-downs, and what a task leaves unfinished."""

from datetime import timedelta
from threading import Event

import pytest

from tests import waiting
from tests.http.peers import answer, stall
from tests.store.rows import change, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site, article, feed, held
from worker import tasks
from worker.http.politeness import host_of
from worker.store.models import Article, Feed, Host


def listed(bench: Bench, site: Site, *paths: str) -> None:
    """A feed of these pages, polled."""
    site.routes["/feed"] = feed(*map(site.url, paths))
    site.routes |= {path: article(f"boat {path}") for path in paths if path not in site.routes}
    bench.follow(site.url("/feed"))
    tasks.poll()
    assert len(bench.articles()) == len(paths)


def robots(text: str) -> object:
    return answer(text.encode(), headers={"Content-Type": "text/plain"})


class TestRobots:
    @pytest.fixture(autouse=True)
    def _rules(self, site: Site) -> None:
        site.routes["/robots.txt"] = robots("User-agent: *\nDisallow: /private/\n")  # type: ignore[assignment]

    def test_a_forbidden_page_is_never_asked_for(self, either_bench: Bench, site: Site) -> None:
        bench = either_bench
        listed(bench, site, "/open", "/private/page")
        tasks.fetch()
        assert (site.asked("/open"), site.asked("/private/page")) == (1, 0)
        told = bench.article(url=site.url("/private/page"))
        assert told["stage"] == "process"
        assert [one["reason"] for one in told["degradations"]] == ["robots_denied"]
        assert bench.article(url=site.url("/open"))["degradations"] == []

    def test_the_file_is_asked_for_once_and_outlives_the_broker(
        self, bench: Bench, site: Site
    ) -> None:
        listed(bench, site, "/a", "/private/b")
        tasks.fetch()
        with bench.valkey.client() as client:
            client.flushall()
        change(bench.engine, Article, stage="fetch", degradations=[])
        bench.make_due()
        tasks.fetch()
        assert site.asked("/robots.txt") == 1
        assert (site.asked("/a"), site.asked("/private/b")) == (2, 0)

    def test_a_feeds_user_may_turn_it_off(self, bench: Bench, site: Site) -> None:
        listed(bench, site, "/private/page")
        change(bench.engine, Feed, options={"robots": False})
        tasks.fetch()
        assert site.asked("/private/page") == 1
        assert site.asked("/robots.txt") == 0

    def test_a_host_that_does_not_give_it_holds_up_no_other(self, bench: Bench, site: Site) -> None:
        with Site() as slow:
            slow.routes["/robots.txt"] = stall()
            site.routes["/feed"] = feed(site.url("/quick"), slow.url("/page"))
            site.routes["/quick"] = article("boat")
            bench.follow(site.url("/feed"))
            tasks.poll()
            tasks.stop(0)
            tasks.start(bench.settings)  # with its usual patience
            tasks.fetch()
            waiting.until(lambda: bench.articles(stage="process"), "the quick one is fetched")
            assert [one["url"] for one in bench.articles(stage="process")] == [site.url("/quick")]
            assert slow.asked("/page") == 0


class TestHosts:
    def test_pages_of_a_host_are_spaced_and_the_others_come_back(
        self, make_bench: MakeBench, site: Site
    ) -> None:
        bench = make_bench(politeness={"at_once": 2, "spacing_seconds": 60})
        listed(bench, site, "/a", "/b", "/c")
        # The poll was a request to the same host.
        with bench.valkey.client() as client:
            client.flushall()
        tasks.fetch()
        assert len(bench.articles(stage="process")) == 1
        waiting_rows = bench.articles(stage="fetch")
        assert [(one["attempts"], one["lease_token"]) for one in waiting_rows] == [(0, None)] * 2
        first, second = sorted(one["due_at"] for one in waiting_rows)
        assert first > bench.now() + timedelta(seconds=50)
        assert second - first > timedelta(seconds=50)

    def test_a_crawl_delay_spaces_pages(self, bench: Bench, site: Site) -> None:
        site.routes["/robots.txt"] = robots("User-agent: *\nCrawl-delay: 30\n")  # type: ignore[assignment]
        listed(bench, site, "/a", "/b")
        tasks.fetch()
        assert len(bench.articles(stage="process")) == 1
        assert bench.article(stage="fetch")["due_at"] > bench.now() + timedelta(seconds=20)

    def test_a_host_that_was_asked_too_often_is_left_alone(
        self, either_bench: Bench, site: Site
    ) -> None:
        bench = either_bench
        too_often = answer(b"", 429, headers={"Retry-After": "300"})
        site.routes["/a"] = too_often
        listed(bench, site, "/a")
        tasks.fetch()
        host = row(bench.engine, Host, host=host_of(site.url("/")))
        assert host["cool_down_until"] > bench.now() + timedelta(seconds=200)

        change(bench.engine, Article, due_at=bench.now())
        tasks.fetch()
        assert site.asked("/a") == 1
        found = bench.article()
        assert (found["stage"], found["attempts"]) == ("fetch", 1)
        assert found["due_at"] == host["cool_down_until"]

    def test_a_feed_of_a_resting_host_waits_too(self, bench: Bench, site: Site) -> None:
        site.routes["/feed"] = answer(b"", 429, headers={"Retry-After": "300"})
        bench.follow(site.url("/feed"), site.url("/other"))
        tasks.poll()
        asked = len(site.requests)
        change(bench.engine, Feed, due_at=bench.now() - timedelta(seconds=1))
        tasks.poll()
        assert len(site.requests) == asked
        (host,) = rows(bench.engine, Host)
        assert {one["due_at"] for one in rows(bench.engine, Feed)} == {host["cool_down_until"]}


class TestUnfinished:
    def test_a_straggler_does_not_hold_its_task(self, bench: Bench, site: Site) -> None:
        freed = Event()
        listed(bench, site, "/a", "/b")
        site.routes["/b"] = held(freed, article("boat b"))
        tasks.stop(0)
        tasks.start(bench.settings)
        tasks.fetch()
        assert len(bench.articles(stage="fetch", lease_token=None)) == 0
        freed.set()
        waiting.until(lambda: len(bench.articles(stage="process")) == 2, "both are fetched")

    def test_what_is_unfinished_at_the_end_is_given_back(self, bench: Bench, site: Site) -> None:
        freed = Event()
        listed(bench, site, "/a", "/b")
        site.routes["/b"] = held(freed, article("boat b"))
        tasks.stop(0)
        tasks.start(bench.settings)
        tasks.fetch()
        tasks.stop(0)
        freed.set()
        left = bench.article(stage="fetch")
        assert (left["url"], left["lease_token"]) == (site.url("/b"), None)
        assert (left["attempts"], left["expiries"]) == (0, 0)
        assert len(bench.articles(stage="process")) == 1
