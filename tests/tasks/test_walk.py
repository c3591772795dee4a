"""One article through all six tasks, with real requests, store and broker."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import RowMapping
from standardwebhooks import Webhook

from tests.http.peers import answer, header
from tests.store.rows import change, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site, article, feed
from tests.webhooks.schemas import check_body
from worker import logs, tasks
from worker.settings import LogSettings
from worker.store.models import Article, Endpoint, Feed, Story
from worker.store.models import Page as PageRow


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged, as JSON lines."""
    stream = io.StringIO()
    logs.configure(LogSettings(format="json"), stream)
    yield stream
    logs.configure(LogSettings())


def test_an_article_walks_through_all_tasks(either_bench: Bench, site: Site) -> None:
    bench = either_bench
    site.routes = {
        "/feed": feed(site.url("/pilot-whale")),
        "/pilot-whale": article("pilot whale"),
        "/hook": answer(b"thanks"),
    }
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))

    tasks.poll()
    assert (bench.article()["stage"], bench.woken()) == ("fetch", {"fetch"})
    tasks.fetch()
    assert (bench.article()["stage"], bench.woken()) == ("process", {"process"})
    assert row(bench.engine, PageRow)["url"] == site.url("/pilot-whale")
    tasks.process()  # the text is in the language that the reader wants
    assert (bench.article()["stage"], bench.woken()) == ("publish", {"publish"})
    tasks.publish()
    assert (bench.article()["stage"], bench.woken()) == ("done", {"deliver"})
    assert bench.delivery()["state"] == "pending"
    tasks.deliver()

    assert bench.delivery()["state"] == "sent"
    found = bench.article()
    assert found["title"] == "On pilot-whale"
    assert found["text"].startswith("The pilot whale was seen by the harbour")
    assert (found["language"], found["summary_method"]) == ("en", "lead")
    assert [line["stage"] for line in found["history"]] == ["poll", "fetch", "process", "publish"]
    assert found["degradations"] == []
    endpoint = row(bench.engine, Endpoint)
    assert (endpoint["lease_token"], endpoint["attempts"]) == (None, 0)
    data = told(bench, site)["data"]
    assert data["story"]["id"] == str(row(bench.engine, Story)["id"])
    assert data["story"]["summary"] == found["summary"]
    assert data["article"]["url"] == site.url("/pilot-whale")
    assert data["feed"]["title"] == "The Ledger"


def test_a_text_in_another_language_goes_by_way_of_translate(
    make_bench: MakeBench, site: Site
) -> None:
    bench = make_bench(translate={"targets": ["id"]})
    site.routes = {"/feed": feed(site.url("/a")), "/a": article("buoy")}
    bench.follow(site.url("/feed"))
    tasks.poll()
    tasks.fetch()
    tasks.process()
    assert (bench.article()["stage"], bench.woken()) == (
        "translate",
        {"fetch", "process", "translate"},
    )
    tasks.translate()
    assert (bench.article()["stage"], bench.woken()) == ("publish", {"publish"})
    assert bench.article()["translation_status"] == "untranslated"
    tasks.publish()
    assert bench.article()["stage"] == "done"


def test_a_task_with_nothing_to_do_does_nothing(bench: Bench) -> None:
    for task in (tasks.poll, tasks.fetch, tasks.process, tasks.translate, tasks.publish):
        task()
    tasks.deliver()
    assert bench.woken() == set()


def test_an_update_is_fetched_again_and_alerts_nobody(bench: Bench, site: Site) -> None:
    site.routes = {
        "/feed": feed(site.url("/a")),
        "/a": article("first report"),
        "/hook": answer(),
    }
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))
    walk()
    site.routes["/feed"] = feed(site.url("/a"), description="Corrected at noon.")
    site.routes["/a"] = article("second report")
    bench.make_due()
    walk()
    assert bench.article()["text"].startswith("The second report")
    assert site.asked("/hook") == 1
    assert row(bench.engine, Story)["article_count"] == 1


def test_an_unchanged_feed_is_not_read_again(bench: Bench, site: Site) -> None:
    site.routes = {"/feed": feed(site.url("/a")), "/a": article("buoy")}
    bench.follow(site.url("/feed"))
    walk()
    bench.make_due()
    bench.woken()
    tasks.poll()
    assert site.asked("/feed") == 2
    assert bench.woken() == set()
    assert bench.article()["stage"] == "done"


def test_each_line_of_an_article_carries_its_id(
    make_bench: MakeBench, site: Site, log: io.StringIO
) -> None:
    bench = make_bench(translate={"targets": ["id"]})
    site.routes = {
        "/feed": feed(site.url("/a"), site.url("/b")),
        "/a": article("buoy"),
        "/b": article("crane"),
    }
    bench.follow(site.url("/feed"))
    walk()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    for found in bench.articles():
        own = [line["event"] for line in lines if line.get("article") == found["id"]]
        assert own == ["fetched", "processed", "translated", "published"]
    assert [line["feed"] for line in lines if line["event"] == "polled"] == [
        row(bench.engine, Feed)["id"]
    ]


class TestExpired:
    """What took its process down three times is not touched again."""

    @pytest.fixture
    def bench(self, make_bench: MakeBench, site: Site) -> Bench:
        bench = make_bench(translate={"targets": ["id"]})
        site.routes = {
            "/feed": feed(site.url("/a")),
            "/a": article("buoy"),
            "/hook": answer(),
        }
        bench.follow(site.url("/feed"))
        bench.tell(site.url("/hook"))
        return bench

    def test_a_feed(self, bench: Bench, site: Site) -> None:
        change(bench.engine, Feed, expiries=3)
        tasks.poll()
        assert site.requests == []
        found = row(bench.engine, Feed)
        assert (found["reason"], found["failures"], found["expiries"]) == ("crashed", 1, 0)
        assert (found["due_at"] - bench.now()).total_seconds() > 80_000

    def test_a_page(self, bench: Bench, site: Site) -> None:
        tasks.poll()
        change(bench.engine, Article, expiries=3)
        tasks.fetch()
        assert site.asked("/a") == 0
        self.is_published_from_the_feed(bench, "fetch")

    def test_a_text(self, bench: Bench) -> None:
        tasks.poll()
        tasks.fetch()
        change(bench.engine, Article, expiries=3)
        self.is_published_from_the_feed(bench, "process")

    def test_a_translation(self, bench: Bench) -> None:
        tasks.poll()
        tasks.fetch()
        tasks.process()
        change(bench.engine, Article, expiries=3)
        tasks.translate()
        found = bench.article()
        assert (found["stage"], found["translation_status"]) == ("publish", "untranslated")
        assert degradations(found) == [("translate", "crashed")]
        assert found["text"].startswith("The buoy")

    def test_a_publication(self, bench: Bench) -> None:
        walk(tasks.poll, tasks.fetch, tasks.process, tasks.translate)
        change(bench.engine, Article, expiries=3)
        tasks.publish()
        found = bench.article()
        assert (found["stage"], found["reason"]) == ("failed", "crashed")
        assert rows(bench.engine, Story) == []

    def test_an_endpoint(self, bench: Bench, site: Site) -> None:
        walk(tasks.poll, tasks.fetch, tasks.process, tasks.translate, tasks.publish)
        change(bench.engine, Endpoint, expiries=3)
        tasks.deliver()
        assert site.asked("/hook") == 0
        endpoint = row(bench.engine, Endpoint)
        assert (endpoint["expiries"], endpoint["lease_token"]) == (0, None)
        assert (endpoint["due_at"] - bench.now()).total_seconds() > 60
        assert (bench.delivery()["state"], bench.attempts()) == ("pending", [])
        bench.make_due()
        tasks.deliver()
        assert bench.delivery()["state"] == "sent"

    def is_published_from_the_feed(self, bench: Bench, stage: str) -> None:
        walk(tasks.process, tasks.translate, tasks.publish)
        found = bench.article()
        assert found["stage"] == "done"
        assert degradations(found)[0] == (stage, "crashed")
        assert found["text"] == "What the feed says of it."


def walk(*steps: Any) -> None:
    """Call these tasks, or all in the order in which data flows."""
    everything = (
        tasks.poll,
        tasks.fetch,
        tasks.process,
        tasks.translate,
        tasks.publish,
        tasks.deliver,
    )
    for task in steps or everything:
        task()


def degradations(found: RowMapping) -> list[tuple[str, str]]:
    return [(one["stage"], one["reason"]) for one in found["degradations"]]


def told(bench: Bench, site: Site) -> Any:
    """The one delivery's payload, verified as its receiver would."""
    (request,) = [each for each in site.requests if each.startswith(b"POST /hook ")]
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: header(request, name) or "" for name in names}
    body = request.partition(b"\r\n\r\n")[2]
    check_body(body)
    return Webhook(bench.secret).verify(body, headers)
