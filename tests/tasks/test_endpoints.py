"""Endpoints that fail, have a limit, or are chats: as the deliver task serves them."""

import json
from collections.abc import Sequence
from concurrent.futures import CancelledError
from threading import Event

import pytest
from sqlalchemy import RowMapping

from tests import waiting
from tests.http.peers import answer, stall
from tests.servers.mail import MailServer
from tests.store.rows import add_article, claimed, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.running import running
from tests.tasks.site import Site, held
from worker import tasks
from worker.store import stories
from worker.store import webhooks as statements
from worker.store.models import Delivery, Endpoint


def publish(bench: Bench, number: int = 1) -> None:
    """Publish stories."""
    for _ in range(number):
        add_article(bench.engine, "publish", title="The buoy", summary="It was seen.")
    stories.publish(bench.engine, claimed(bench.engine, "publish"))


def add_chat(bench: Bench, url: str, name: str = "chat") -> None:
    added = statements.add(
        bench.engine, name, "shown://", url, event_types=["story.created"],
        kind="chat", allow_private=True,
    )  # fmt: skip
    assert added


def ntfy(site: Site, topic: str = "sesame") -> str:
    return f"{site.url('').replace('http', 'ntfy')}/{topic}"


def deliveries(bench: Bench, **where: object) -> Sequence[RowMapping]:
    return rows(bench.engine, Delivery, **where)


class TestResting:
    def test_one_that_fails_is_left_alone_until_it_takes_one(
        self, either_bench: Bench, site: Site
    ) -> None:
        bench = either_bench
        site.routes["/hook"] = answer(b"", 500)
        bench.tell(site.url("/hook"))
        publish(bench, 12)
        tasks.deliver()
        asked = site.asked("/hook")
        assert 5 <= asked < 12, "those that were under way when the fifth failed"
        before = deliveries(bench)
        tasks.deliver()
        assert (site.asked("/hook"), deliveries(bench)) == (asked, before)

        site.routes["/hook"] = answer()
        bench.make_due()
        tasks.deliver()
        assert {one["state"] for one in deliveries(bench)} == {"sent"}
        assert row(bench.engine, Endpoint)["failures"] == 0

    def test_another_process_knows_of_it(self, make_bench: MakeBench, site: Site) -> None:
        bench = make_bench()
        site.routes["/hook"] = answer(b"", 503, {"Retry-After": "3600"})
        bench.tell(site.url("/hook"))
        publish(bench, 9)
        tasks.deliver()
        asked = site.asked("/hook")
        assert asked <= 4
        before = bench.engine
        bench.close()
        again = make_bench()
        assert again.engine is not before
        site.routes["/hook"] = answer()
        tasks.deliver()
        assert site.asked("/hook") == asked
        rest = row(again.engine, Endpoint)["resting_until"] - again.now()
        assert 3_000 < rest.total_seconds() <= 3_606


def test_no_more_than_the_limit(bench: Bench, site: Site) -> None:
    site.routes["/hook"] = answer()
    bench.tell(site.url("/hook"))
    statements.limit(bench.engine, row(bench.engine, Endpoint)["id"], 30)
    publish(bench, 9)
    tasks.deliver()
    tasks.deliver()
    assert site.asked("/hook") == 3, "a tenth at once"
    assert len(deliveries(bench, state="pending", attempts=0)) == 6


class TestChats:
    def test_a_story_comes_as_a_message(
        self, either_bench: Bench, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = either_bench
        site.routes["/"] = answer(b'{"id":"x"}')
        add_chat(bench, ntfy(site))
        publish(bench, 2)
        tasks.deliver()
        first, second = (json.loads(one.partition(b"\r\n\r\n")[2]) for one in site.requests)
        assert first["title"] == second["title"] == "The buoy"
        assert first["message"].startswith("It was seen.\n\nen\n\nhttps://example.org/")
        assert {one["state"] for one in deliveries(bench)} == {"sent"}
        attempts = [(one["outcome"], one["status"], one["excerpt"]) for one in bench.attempts()]
        assert attempts == [("sent", 200, '{"id":"x"}')] * 2
        assert "sesame" not in caplog.text

    def test_one_message_after_the_other(self, bench: Bench, site: Site) -> None:
        freed = Event()
        site.routes["/"] = held(freed, answer())
        add_chat(bench, ntfy(site))
        publish(bench, 3)
        with running(tasks.deliver):
            waiting.until(lambda: site.requests, "the first message is being sent")
            begun = len(bench.attempts())
            freed.set()
        assert begun == 1
        assert len(bench.attempts()) == 3

    def test_a_mail(self, bench: Bench) -> None:
        with MailServer() as server:
            add_chat(
                bench, f"mailto://127.0.0.1:{server.port}/?from=a@example.org&to=b@example.org"
            )
            publish(bench)
            tasks.deliver()
        (text,) = server.messages
        assert "Subject: The buoy\r\n" in text
        assert bench.delivery()["state"] == "sent"

    def test_one_that_hangs_is_ended_and_tried_again(
        self, make_bench: MakeBench, site: Site
    ) -> None:
        bench = make_bench(webhooks={"timeout_seconds": 2})
        site.routes["/"] = stall()
        add_chat(bench, ntfy(site))
        publish(bench)
        tasks.deliver()
        delivery = bench.delivery()
        assert (delivery["state"], delivery["reason"]) == ("pending", "timeout")
        assert delivery["attempts"] == 1
        assert row(bench.engine, Endpoint)["lease_token"] is None
        site.routes["/"] = answer()
        bench.make_due()
        tasks.deliver()
        assert bench.delivery()["state"] == "sent"

    def test_one_that_hangs_holds_up_no_webhook(self, bench: Bench, site: Site) -> None:
        freed = Event()
        site.routes |= {"/": held(freed, answer()), "/hook": answer()}
        bench.tell(site.url("/hook"))
        for name in ("one", "two", "three"):
            add_chat(bench, ntfy(site), name)
        publish(bench)
        with running(tasks.deliver) as task:
            waiting.until(lambda: deliveries(bench, state="sent"), "the webhook is sent")
            assert task.is_alive()
            freed.set()
        assert {one["state"] for one in deliveries(bench)} == {"sent"}

    def test_when_the_process_ends_so_do_its_children(self, bench: Bench, site: Site) -> None:
        """What was being sent is unknown, and due again when its lease would have ended."""
        site.routes["/"] = stall()
        add_chat(bench, ntfy(site))
        publish(bench)

        def end_while_sending() -> None:
            with running(tasks.deliver):
                waiting.until(lambda: site.requests, "the message is being sent")
                tasks.stop(0)

        with pytest.raises(CancelledError):
            end_while_sending()
        assert row(bench.engine, Endpoint)["lease_token"] is None
        (attempt,) = bench.attempts()
        assert attempt["outcome"] == "unknown"
        assert bench.delivery()["state"] == "pending"
