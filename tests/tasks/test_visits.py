"""The fetch stage's manners: robots.txt, spacing, cool-downs, and what a task leaves unfinished."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Event

import pytest

from tests import waiting
from tests.http.peers import answer, redirect, stall
from tests.store.rows import change, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site, article, feed, held
from worker import tasks
from worker.http.politeness import host_of
from worker.store import hosts
from worker.store.models import Article, Feed, Host, Page
from worker.store.sessions import writing


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


class TestRedirectsToAnotherHost:
    """By its own robots.txt, in its own turn."""

    @pytest.fixture
    def other(self) -> Iterator[Site]:
        with Site() as other:
            yield other

    def led(self, bench: Bench, site: Site, other: Site, *paths: str) -> None:
        """A feed of pages that lead to those of the other site, polled."""
        site.routes |= {path: redirect(other.url(path)) for path in paths}
        other.routes |= {path: article(f"boat {path}") for path in paths}
        listed(bench, site, *paths)

    def test_they_are_followed(self, either_bench: Bench, site: Site, other: Site) -> None:
        bench = either_bench
        self.led(bench, site, other, "/a", "/b")
        tasks.fetch()
        assert {page["url"] for page in rows(bench.engine, Page)} == {
            other.url("/a"),
            other.url("/b"),
        }
        assert (site.asked("/robots.txt"), other.asked("/robots.txt")) == (1, 1)
        names = {host_of(site.url("")), host_of(other.url(""))}
        assert {host["host"] for host in rows(bench.engine, Host)} == names
        with bench.valkey.client() as client:
            assert [key for key in client.keys("*:tokens") if client.zcard(key)] == []

    def test_a_forbidden_page_is_never_asked_for(
        self, bench: Bench, site: Site, other: Site
    ) -> None:
        other.routes["/robots.txt"] = robots("User-agent: *\nDisallow: /a\n")  # type: ignore[assignment]
        self.led(bench, site, other, "/a", "/b")
        tasks.fetch()
        assert (other.asked("/a"), other.asked("/b")) == (0, 1)
        told = bench.article(url=site.url("/a"))
        (degradation,) = told["degradations"]
        assert (degradation["reason"], told["stage"]) == ("robots_denied", "process")
        assert degradation["detail"] == f"by {host_of(other.url(''))}"

    def test_a_feeds_user_may_turn_robots_txt_off(
        self, bench: Bench, site: Site, other: Site
    ) -> None:
        other.routes["/robots.txt"] = robots("User-agent: *\nDisallow: /\n")  # type: ignore[assignment]
        self.led(bench, site, other, "/a")
        change(bench.engine, Feed, options={"robots": False})
        tasks.fetch()
        assert (other.asked("/robots.txt"), other.asked("/a")) == (0, 1)

    def test_a_host_that_does_not_give_its_robots_txt_is_asked_later(
        self, bench: Bench, site: Site, other: Site
    ) -> None:
        other.routes["/robots.txt"] = answer(b"", 503)
        self.led(bench, site, other, "/a")
        tasks.fetch()
        found = bench.article()
        assert (found["stage"], found["history"][-1]["reason"]) == ("fetch", "server_error")
        assert other.asked("/a") == 0

    def test_a_resting_host_is_left_alone(self, bench: Bench, site: Site, other: Site) -> None:
        self.led(bench, site, other, "/a")
        until = bench.now() + timedelta(minutes=5)
        with writing(bench.engine) as connection:
            hosts.cool_down(connection, host_of(other.url("")), until)
        tasks.fetch()
        found = bench.article()
        assert other.requests == []
        assert (found["stage"], found["attempts"], found["due_at"]) == ("fetch", 0, until)
        assert (found["lease_token"], found["degradations"]) == (None, [])
        assert host_of(other.url("")) in found["history"][-1]["detail"]

    def test_one_that_rests_for_hours_is_told_from_the_feed(
        self, bench: Bench, site: Site, other: Site
    ) -> None:
        self.led(bench, site, other, "/a")
        with writing(bench.engine) as connection:
            until = bench.now() + timedelta(hours=5)
            hosts.cool_down(connection, host_of(other.url("")), until)
        tasks.fetch()
        found = bench.article()
        assert [one["reason"] for one in found["degradations"]] == ["rate_limited"]
        assert other.requests == []

    def test_who_was_asked_too_often_is_who_rests(
        self, either_bench: Bench, site: Site, other: Site
    ) -> None:
        bench = either_bench
        self.led(bench, site, other, "/a")
        other.routes["/a"] = answer(b"", 429, headers={"Retry-After": "300"})
        tasks.fetch()
        resting = {one["host"]: one["cool_down_until"] for one in rows(bench.engine, Host)}
        assert resting[host_of(site.url(""))] is None
        assert resting[host_of(other.url(""))] > bench.now() + timedelta(seconds=200)

    def test_its_pages_are_spaced(self, make_bench: MakeBench, site: Site, other: Site) -> None:
        own = {host_of(other.url("")): {"at_once": 8, "spacing_seconds": 60}}
        bench = make_bench(politeness={"at_once": 64, "spacing_seconds": 0, "hosts": own})
        self.led(bench, site, other, "/a", "/b", "/c")
        tasks.fetch()
        assert len(bench.articles(stage="process")) == 1
        first, second = sorted(one["due_at"] for one in bench.articles(stage="fetch"))
        assert first > bench.now() + timedelta(seconds=50)
        assert second - first > timedelta(seconds=50)
        assert [one["attempts"] for one in bench.articles(stage="fetch")] == [0, 0]
        assert len([path for path in ("/a", "/b", "/c") if other.asked(path)]) == 1

    def test_two_that_lead_to_each_other_end(self, bench: Bench, site: Site, other: Site) -> None:
        self.led(bench, site, other, "/a")
        other.routes["/a"] = redirect(site.url("/a"))
        tasks.fetch()
        found = bench.article()
        assert (found["stage"], found["history"][-1]["reason"]) == ("fetch", "redirected")
        assert site.asked("/a") + other.asked("/a") == 1 + bench.settings.http.max_redirects


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
