"""What the world does to the tasks: hosts that hang, pages without end, receivers that refuse."""

import pkgutil
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from lxml import html
from lxml.etree import XMLSyntaxError

from tests import waiting
from tests.http.peers import answer, stall
from tests.store.rows import row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.running import running
from tests.tasks.site import Site, article, endless, feed, held, late
from worker import tasks
from worker.settings import LeaseSettings
from worker.store import feeds
from worker.store.claims import claim
from worker.store.models import Attempt, Delivery, Endpoint, Feed, Tally
from worker.store.models import Entry as EntryRow
from worker.store.models import Page as PageRow

PAGE_BYTES = 200_000_000


class TestHangingHost:
    """One of a batch of twenty never answers."""

    @pytest.fixture
    def links(self, site: Site) -> list[str]:
        paths = [f"/{number}" for number in range(19)]
        site.routes = {path: article(f"boat {path}") for path in paths} | {"/hangs": stall()}
        site.routes["/feed"] = feed(*map(site.url, [*paths[:9], "/hangs", *paths[9:]]))
        return paths

    @pytest.mark.usefixtures("links")
    def test_the_others_are_committed_long_before_the_batch_ends(
        self, either_bench: Bench, site: Site
    ) -> None:
        bench = either_bench
        freed = Event()
        site.routes["/hangs"] = held(freed, answer(status=404))
        bench.follow(site.url("/feed"))
        tasks.poll()
        bench.woken()
        with running(tasks.fetch) as task:
            waiting.until(lambda: len(bench.articles(stage="process")) == 19, "19 are fetched")
            assert bench.woken() == {"process"}
            assert task.is_alive()
            freed.set()
        assert len(bench.articles(stage="process")) == 20

    @pytest.mark.usefixtures("links")
    def test_what_is_not_done_by_the_deadline_is_due_again_later(
        self, make_bench: MakeBench, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench = make_bench()
        bench.follow(site.url("/feed"))
        tasks.poll()
        # Settings refuse a lease this short: a request would outlast it, as here it is to.
        short = bench.settings.model_copy(update={"leases": LeaseSettings(fetch=6)})
        monkeypatch.setattr("worker.batches._LEFTOVERS", timedelta(seconds=1))
        tasks.stop(0)
        tasks.start(short, patience=60)
        started_at = bench.now()
        tasks.fetch()

        assert len(bench.articles(stage="process")) == 19
        hanging = bench.article(stage="fetch")
        assert (hanging["url"], hanging["lease_token"]) == (site.url("/hangs"), None)
        assert (hanging["attempts"], hanging["expiries"]) == (1, 0)
        assert [line["stage"] for line in hanging["history"]] == ["poll"]
        # Later than now, not than the claim: else it is claimed again at once.
        assert hanging["due_at"] >= started_at + timedelta(seconds=3 + 1)

    def test_waits_count_from_when_the_host_failed(self, make_bench: MakeBench, site: Site) -> None:
        bench = make_bench(
            http={"allow_networks": ["127.0.0.0/8"], "timeout_seconds": 1},
            fetch={"retry_seconds": (10, 60)},
        )
        site.routes = {"/feed": feed(site.url("/hangs")), "/hangs": stall()}
        bench.follow(site.url("/feed"))
        tasks.poll()
        for wait in (10, 60):
            bench.make_due()
            asked_at = bench.now()
            tasks.fetch()
            found = bench.article()
            assert found["history"][-1]["reason"] == "timeout"
            assert found["due_at"] >= asked_at + timedelta(seconds=1 + wait)
        assert found["degradations"] == []
        bench.make_due()
        tasks.fetch()
        found = bench.article()
        assert found["stage"] == "process"
        assert [one["reason"] for one in found["degradations"]] == ["timeout"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (endless(PAGE_BYTES), "too_large"),
        (answer(b"%PDF-1.7", headers={"Content-Type": "application/pdf"}), "not_html"),
        (answer(b"gone", 410), "gone"),
        (answer(b"", headers={"Content-Type": "text/html"}), "no_text"),
        (answer(b"\0\xff\xfe" * 999, headers={"Content-Type": "text/html"}), "no_text"),
    ],
    ids=["200 MB", "a PDF", "410", "empty", "binary"],
)
def test_a_page_that_gives_no_article_is_published_from_what_the_feed_said(
    bench: Bench, site: Site, page: object, reason: str
) -> None:
    site.routes = {"/feed": feed(site.url("/a")), "/a": page}  # type: ignore[dict-item]
    site.routes["/hook"] = answer()
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))
    walk()
    found = bench.article()
    assert (found["stage"], found["text"]) == ("done", "What the feed says of it.")
    assert [one["reason"] for one in found["degradations"]] == [reason]
    assert bench.delivery()["state"] == "sent"
    (request,) = [each for each in site.requests if each.startswith(b"POST /hook ")]
    assert f'"reason":"{reason}"'.encode() in request


@pytest.mark.parametrize(
    ("what", "error", "detail"),
    [
        ("worker.articles.source.document_fromstring", XMLSyntaxError("no tree", 1, 1, 1), "tree"),
        ("trafilatura.bare_extraction", RecursionError("too deep"), "RecursionError: too deep"),
        ("worker.articles.metadata.read", MemoryError(), "MemoryError"),
    ],
    ids=["lxml", "trafilatura", "memory"],
)
def test_a_crash_of_the_extractor_is_counted_and_harms_no_other(
    bench: Bench,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    error: Exception,
    detail: str,
) -> None:
    site.routes = {
        "/feed": feed(site.url("/a"), site.url("/b")),
        "/a": answer(b"<html><p>short</p></html>", headers={"Content-Type": "text/html"}),
        "/b": article("buoy"),
    }
    bench.follow(site.url("/feed"))
    tasks.poll()
    tasks.fetch()
    real = pkgutil.resolve_name(what)

    def fail(page: Any, *others: Any, **named: Any) -> Any:
        shown = page if isinstance(page, bytes) else html.tostring(page)
        if b"short" in shown:
            raise error
        return real(page, *others, **named)

    monkeypatch.setattr(what, fail)
    walk(*WALK[2:])
    assert {found["stage"] for found in bench.articles()} == {"done"}
    (degradation,) = bench.article(url=site.url("/a"))["degradations"]
    assert degradation["reason"] == "extraction_failed"
    assert detail in degradation["detail"]
    assert bench.article(url=site.url("/a"))["text"] == "What the feed says of it."
    assert bench.article(url=site.url("/b"))["degradations"] == []
    counted = rows(bench.engine, Tally, stage="process", reason="extraction_failed")
    assert sum(one["number"] for one in counted) == 1


def test_entries_without_a_link_are_told_one_by_one(bench: Bench, site: Site) -> None:
    items = "".join(
        f"<item><guid isPermaLink='false'>{name}</guid><title>{name}</title>"
        f"<description>Notice {name}.</description></item>"
        for name in ("one", "two", "three")
    )
    document = f"<rss version='2.0'><channel><title>Notices</title>{items}</channel></rss>"
    site.routes = {
        "/feed": answer(document.encode(), headers={"Content-Type": "application/rss+xml"}),
        "/hook": answer(),
    }
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))
    walk()
    assert {found["stage"] for found in bench.articles()} == {"done"}
    assert len({found["story_id"] for found in bench.articles()}) == 3
    assert site.asked("/hook") == 3


def test_a_feed_of_odd_things_is_taken(either_bench: Bench, site: Site) -> None:
    """NUL, half a surrogate pair, and names that are longer than an index or a column may hold."""
    bench = either_bench
    odd = "".join(chr(0x4E00 + n % 5_000) for n in range(0, 60_000, 7))
    document = (
        f"<rss version='2.0'><channel><title>T&#0;itle</title><language>{'x' * 50}</language>"
        f"<item><guid>{odd}</guid><title>A&#0;B</title><link>{site.url('/a')}</link>"
        "<description>Half &#xD800; a pair.</description></item></channel></rss>"
    )
    site.routes = {
        "/feed": answer(document.encode(), headers={"Content-Type": "application/rss+xml"}),
        "/a": article("buoy", f"text/html; charset={'y' * 200}"),
        "/hook": answer(b"o\0k\xff"),
    }
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))
    walk()
    assert row(bench.engine, Feed)["failures"] == 0
    assert bench.article()["stage"] == "done"
    assert bench.delivery()["state"] == "sent"
    bench.make_due()
    site.routes["/feed"] = answer(
        document.replace("Half", "Again half").encode(),
        headers={"Content-Type": "application/rss+xml"},
    )
    tasks.poll()
    assert len(rows(bench.engine, EntryRow)) == 1


class TestFeeds:
    @pytest.mark.parametrize(
        ("handler", "status", "reason", "detail"),
        [
            (article("harbour"), 200, "not_a_feed", "an HTML page, not a feed"),
            (answer(b""), 200, "not_a_feed", "the document is empty"),
            (answer(b"", 404), 404, "not_found", "404"),
            (endless(PAGE_BYTES), 200, "too_large", "over"),
        ],
        ids=["HTML", "empty", "404", "200 MB"],
    )
    def test_what_is_no_feed_says_why_and_is_asked_less_often(
        self, bench: Bench, site: Site, handler: object, status: int, reason: str, detail: str
    ) -> None:
        site.routes = {"/feed": handler}  # type: ignore[dict-item]
        bench.follow(site.url("/feed"))
        tasks.poll()
        (found,) = feeds.listing(bench.engine)
        assert (found["status"], found["reason"], found["failures"]) == (status, reason, 1)
        assert detail in found["detail"]
        interval = bench.settings.poll.interval_seconds
        assert found["due_at"] > bench.now() + timedelta(seconds=1.5 * interval)
        assert bench.articles() == []

    def test_a_feed_that_comes_back_is_well_again(self, bench: Bench, site: Site) -> None:
        bench.follow(site.url("/feed"))
        tasks.poll()
        site.routes = {"/feed": feed(site.url("/a"))}
        bench.make_due()
        tasks.poll()
        (found,) = feeds.listing(bench.engine)
        assert (found["failures"], found["reason"], found["detail"]) == (0, None, None)
        assert len(bench.articles()) == 1

    def test_a_slow_feed_does_not_delay_the_others(self, bench: Bench, site: Site) -> None:
        freed = Event()
        site.routes = {
            "/slow": held(freed, feed(site.url("/s"))),
            "/quick": feed(site.url("/q")),
        }
        bench.follow(site.url("/slow"), site.url("/quick"))
        with running(tasks.poll) as task:
            waiting.until(lambda: bench.articles(url=site.url("/q")), "the quick feed's article")
            assert task.is_alive()
            freed.set()
        assert len(bench.articles()) == 2


class TestEndpoints:
    @pytest.fixture
    def bench(self, make_bench: MakeBench, site: Site) -> Bench:
        """A bench with a story to tell, and short waits."""
        bench = make_bench(
            webhooks={"retry_seconds": (50, 600), "timeout_seconds": 1, "max_in_flight": 2}
        )
        site.routes = {"/feed": feed(site.url("/a")), "/a": article("buoy")}
        bench.follow(site.url("/feed"))
        return bench

    def test_one_that_refuses_connections_is_tried_later(
        self, bench: Bench, free_port: int
    ) -> None:
        bench.tell(f"http://127.0.0.1:{free_port}/hook")
        asked_at = bench.now()
        walk()
        delivery = bench.delivery()
        assert (delivery["state"], delivery["attempts"]) == ("pending", 1)
        assert delivery["reason"] == "connect_failed"
        assert delivery["due_at"] >= asked_at + timedelta(seconds=0.8 * 50)
        (attempt,) = bench.attempts()
        assert (attempt["outcome"], attempt["status"]) == ("failed", None)
        assert attempt["reason"] == "connect_failed"
        assert str(free_port) in attempt["detail"]
        assert row(bench.engine, Endpoint)["lease_token"] is None
        assert claim(bench.engine, "deliver", 1, timedelta(seconds=9)) is None

    def test_one_that_never_takes_it_ends_as_dead(self, bench: Bench, site: Site) -> None:
        site.routes["/hook"] = answer(b"<h1>Oops</h1>", 500)
        bench.tell(site.url("/hook"))
        walk()
        for attempts in (1, 2):
            assert (bench.delivery()["state"], bench.delivery()["attempts"]) == (
                "pending",
                attempts,
            )
            tasks.deliver()  # not due yet
            bench.make_due()
            tasks.deliver()
        delivery = bench.delivery()
        assert (delivery["state"], delivery["attempts"]) == ("dead", 3)
        assert delivery["reason"] == "server_error"
        assert site.asked("/hook") == 3
        assert {attempt["excerpt"] for attempt in bench.attempts()} == {"<h1>Oops</h1>"}
        bench.make_due()
        tasks.deliver()
        assert site.asked("/hook") == 3

    def test_each_attempt_sends_the_same_id_and_bytes(self, bench: Bench, site: Site) -> None:
        site.routes["/hook"] = answer(b"", 503)
        bench.tell(site.url("/hook"))
        walk()
        site.routes["/hook"] = answer()
        bench.make_due()
        tasks.deliver()
        first, second = [each for each in site.requests if each.startswith(b"POST")]
        assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2]
        ids = {
            line
            for request in (first, second)
            for line in request.lower().split(b"\r\n")
            if line.startswith(b"webhook-id:")
        }
        assert len(ids) == 1
        assert bench.delivery()["state"] == "sent"

    def test_one_that_is_gone_is_disabled(self, bench: Bench, site: Site) -> None:
        site.routes["/hook"] = answer(b"", 410)
        bench.tell(site.url("/hook"))
        walk()
        assert row(bench.engine, Endpoint)["state"] == "disabled"
        assert bench.delivery()["state"] == "held"

    def test_waits_count_from_when_it_failed(self, bench: Bench, site: Site) -> None:
        site.routes["/hook"] = stall()
        bench.tell(site.url("/hook"))
        asked_at = bench.now()
        walk()
        delivery = bench.delivery()
        assert delivery["reason"] == "timeout"
        assert delivery["due_at"] >= asked_at + timedelta(seconds=1 + 0.8 * 50)

    def test_one_that_hangs_does_not_delay_another(self, bench: Bench, site: Site) -> None:
        freed = Event()
        site.routes |= {"/slow": held(freed, answer()), "/quick": answer()}
        bench.tell(site.url("/slow"), "slow")
        bench.tell(site.url("/quick"), "quick")
        walk(*WALK[:-1])
        with running(tasks.deliver) as task:
            waiting.until(lambda: rows(bench.engine, Delivery, state="sent"), "one is sent")
            quick = row(bench.engine, Endpoint, name="quick")
            waiting.until(
                lambda: row(bench.engine, Endpoint, name="quick")["lease_token"] is None,
                "the quick one's lease is given back",
            )
            assert task.is_alive()
            freed.set()
        assert quick["state"] == "active"

    def test_many_deliveries_go_a_few_at_a_time(self, bench: Bench, site: Site) -> None:
        links = [site.url(f"/{number}") for number in range(7)]
        site.routes |= {f"/{number}": article(f"boat {number}") for number in range(7)}
        site.routes |= {"/feed": feed(*links), "/hook": late(answer(), 0.05)}
        bench.tell(site.url("/hook"))
        walk()
        assert {delivery["state"] for delivery in rows(bench.engine, Delivery)} == {"sent"}
        assert len(rows(bench.engine, Attempt)) == 7


def test_pages_are_kept_for_what_was_fetched_alone(bench: Bench, site: Site) -> None:
    site.routes = {"/feed": feed(site.url("/a"), site.url("/b")), "/a": article("buoy")}
    bench.follow(site.url("/feed"))
    tasks.poll()
    tasks.fetch()
    assert row(bench.engine, PageRow)["url"] == site.url("/a")


WALK = (tasks.poll, tasks.fetch, tasks.process, tasks.translate, tasks.publish, tasks.deliver)


def walk(*steps: object) -> None:
    """Call these tasks, or all in the order in which data flows."""
    for task in steps or WALK:
        task()  # type: ignore[operator]
