"""WebSub with a real hub: from the feed that names it to the articles that it pushed."""

import asyncio
import gzip
import hmac
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import pytest
from sqlalchemy import Engine, RowMapping

from tests import waiting
from tests.conftest import MakeSettings
from tests.http.peers import answer
from tests.servers.hub import Hub
from tests.servers.valkey import Valkey
from tests.store.rows import add_feed, at_once, change, claimed, row, rows
from tests.tasks.site import Site
from tests.web.running import Service
from worker import feeds
from worker.app import waker
from worker.feeds import websub
from worker.feeds.websub import Answer
from worker.http import Client
from worker.reasons import Reason
from worker.settings import HttpSettings, Settings, WebSubSettings
from worker.store import feeds as feed_statements
from worker.store import polls, reading, subscriptions
from worker.store.claims import Claim
from worker.store.models import Article, Feed, Subscription, Tally
from worker.store.sessions import read_now

MOST_BYTES = 50_000
DAY = timedelta(days=1)
RSS = {"Content-Type": "application/rss+xml"}


class Desk:
    """A feed of a publisher, in a store whose web service runs."""

    def __init__(self, settings: Settings, engine: Engine, site: Site, service: Service) -> None:
        self.settings = settings
        self.engine = engine
        self.service = service
        self.topic = site.url("/feed")
        self._site = site
        self._feed_id = add_feed(engine, self.topic)
        self._published: list[str] = []

    def publish(self, *names: str, hub: str = "") -> None:
        """List these articles too; name the hub in a Link header from now on."""
        self._published += names
        links = {"Link": f'<{hub}>; rel="hub", <{self.topic}>; rel="self"'} if hub else {}
        self._site.routes["/feed"] = answer(document(*self._published), headers=links | RSS)

    def poll(self, batch: Claim | None = None) -> feeds.PollOutcome:
        """Poll the feed and save what comes of it."""
        batch = batch or self.claim()
        known = polls.known(batch.rows[0])

        async def ask() -> feeds.PollOutcome:
            async with Client(self.settings.http) as client:
                came = await feeds.request(client, known)
                return feeds.decide(known, came, batch.now, self.settings.poll)

        outcome = asyncio.run(ask())
        polls.save(self.engine, batch, [outcome])
        return outcome

    def claim(self) -> Claim:
        change(self.engine, Feed, due_at=self.now())
        return claimed(self.engine, "poll", self.now())

    def subscribe(self, hub: str | feeds.Hub | None) -> Answer | None:
        """Do about the hub what a poll does; None when there is nothing to ask."""
        found = feeds.Hub(hub, self.topic) if isinstance(hub, str) else hub
        known = subscriptions.known(self.engine, [self._feed_id]).get(self._feed_id)
        request = websub.plan(found, known, self.now(), self.settings.websub)
        if request is None:
            return None
        assert subscriptions.asked(self.engine, self._feed_id, request)

        async def ask() -> Answer:
            async with Client(self.settings.http) as client:
                return await websub.subscribe(client, request, self.now())

        found_answer = asyncio.run(ask())
        if not found_answer.accepted:
            subscriptions.failed(self.engine, request, found_answer)
        return found_answer

    def now(self) -> datetime:
        with reading(self.engine) as connection:
            return read_now(connection)

    def subscription(self) -> RowMapping:
        return row(self.engine, Subscription)

    @property
    def callback(self) -> str:
        return f"{self.service.url}/websub/{self.subscription()['token']}"

    def until(self, state: str) -> RowMapping:
        """Wait until the subscription is in this state."""
        waiting.until(lambda: self.subscription()["state"] == state, f"subscription {state}")
        return self.subscription()

    def until_active(self, hub: Hub) -> RowMapping:
        """Wait until the subscription is active, here and at the hub."""
        waiting.until(lambda: at(hub, self), "a subscription at the hub")
        return self.until("active")

    def titles(self) -> list[str]:
        found = rows(self.engine, Article, stage="fetch")
        return sorted(article["feed_entry"]["title"] for article in found)

    def refusals(self) -> list[str]:
        return [tally["reason"] for tally in rows(self.engine, Tally, outcome="refused")]

    def push(
        self,
        body: bytes,
        headers: Mapping[str, str] = RSS,
        *,
        signature: str | None = None,
        chunked: bool = False,
    ) -> int:
        """Push as a hub would that knows the secret; the status of the answer."""
        right = f"sha256={hmac.digest(self.secret(), body, 'sha256').hex()}"
        signed = {**headers, "X-Hub-Signature": right if signature is None else signature}

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 10_000):
                yield body[start : start + 10_000]

        return status("POST", self.callback, parts() if chunked else body, signed)

    def secret(self) -> bytes:
        return bytes(self.subscription()["secret"].encode())


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the web service is to listen: bound, since its URL is told before it runs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


@pytest.fixture
def settings(store_settings: Settings, listener: socket.socket) -> Settings:
    return store_settings.model_copy(
        update={
            "websub": WebSubSettings(callback_url=url_of(listener)),
            "http": HttpSettings.model_validate(
                {"allow_networks": ["127.0.0.0/8"], "max_body_bytes": MOST_BYTES}
            ),
        }
    )


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def desk(settings: Settings, engine: Engine, site: Site, listener: socket.socket) -> Iterator[Desk]:
    with Service(settings, listener) as service:
        yield Desk(settings, engine, site, service)


@pytest.fixture
def subscribed(desk: Desk, hub: Hub) -> Desk:
    """A desk whose subscription is active, and whose feed was polled."""
    desk.publish("first", hub=hub.url())
    desk.poll()
    desk.subscribe(hub.url())
    desk.until_active(hub)
    return desk


class TestSubscription:
    def test_from_discovery_to_an_active_subscription(self, desk: Desk, hub: Hub) -> None:
        desk.publish("first", hub=hub.url())
        found = desk.poll().hub
        assert found == feeds.Hub(hub.url(), desk.topic)
        began = desk.now()
        assert desk.subscribe(found) == Answer(True, 202)
        active = desk.until_active(hub)
        assert began <= active["verified_at"] <= desk.now()
        assert active["lease_ends_at"] - active["verified_at"] == 10 * DAY
        assert active["failures"] == 0
        (there,) = at(hub, desk)
        assert (there["topic"], there["secret"]) == (desk.topic, active["secret"])
        assert desk.subscribe(found) is None

    def test_a_hub_that_verifies_before_it_answers(self, desk: Desk, hub: Hub) -> None:
        assert desk.subscribe(hub.url(early=1)) == Answer(True, 204)
        assert desk.subscription()["state"] == "active"

    def test_a_lease_is_renewed_at_the_same_callback(self, desk: Desk, hub: Hub) -> None:
        desk.subscribe(hub.url(lease=3_600))
        first = desk.until_active(hub)
        assert first["lease_ends_at"] - first["verified_at"] == timedelta(hours=1)
        change(
            desk.engine,
            Subscription,
            verified_at=desk.now() - timedelta(minutes=40),
            lease_ends_at=desk.now() + timedelta(minutes=20),
        )
        # The poll brought no document: nothing names the hub.
        assert desk.subscribe(None) == Answer(True, 202)
        waiting.until(
            lambda: desk.subscription()["verified_at"] > first["verified_at"], "verified again"
        )
        second = desk.subscription()
        assert (second["state"], second["failures"]) == ("active", 0)
        assert second["lease_ends_at"] > desk.now() + timedelta(minutes=59)
        (there,) = at(hub, desk)
        assert there["secret"] == first["secret"]
        assert len([form for form in hub.asked() if form["hub.topic"] == desk.topic]) == 2

    def test_a_hub_that_is_down(self, desk: Desk) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
            failed = desk.subscribe(url)
        assert failed is not None
        assert (failed.accepted, failed.reason) == (False, Reason.CONNECT_FAILED)
        kept = desk.subscription()
        assert (kept["state"], kept["failures"]) == ("asked", 1)
        assert kept["detail"] == failed.detail
        assert desk.subscribe(url) is None
        change(desk.engine, Subscription, asked_at=desk.now() - timedelta(minutes=10))
        assert desk.subscribe(url) == failed
        assert desk.subscription()["failures"] == 2
        assert row(desk.engine, Feed)["state"] == "active"

    def test_a_hub_that_refuses_says_why(self, desk: Desk, hub: Hub) -> None:
        desk.subscribe(hub.url(status=503))
        assert desk.subscription()["detail"] == "503 Service Unavailable: not today"

    def test_a_hub_that_sends_us_to_another(self, desk: Desk, hub: Hub) -> None:
        advertised = hub.url(to=hub.url(lease=600))
        assert desk.subscribe(advertised) == Answer(True, 202)
        active = desk.until_active(hub)
        # Known by the hub that the feed names, else each poll would begin anew.
        assert active["hub"] == advertised
        assert desk.subscribe(advertised) is None

    def test_a_hub_that_verifies_another_topic(self, desk: Desk, hub: Hub) -> None:
        desk.subscribe(hub.url(topic="https://news.example/other", early=1))
        assert desk.subscription()["state"] == "asked"
        assert at(hub, desk) == []

    def test_a_hub_that_denies(self, desk: Desk, hub: Hub) -> None:
        desk.subscribe(hub.url(deny="paying customers only"))
        denied = desk.until("denied")
        assert denied["detail"] == "denied: paying customers only"
        assert desk.subscribe(hub.url(deny="paying customers only")) is None
        assert status("POST", desk.callback) == 410

    def test_the_challenge_is_plain_text_whatever_it_is(self, desk: Desk, hub: Hub) -> None:
        desk.subscribe(hub.url(status=503))
        query = {
            "hub.mode": "subscribe",
            "hub.topic": desk.topic,
            "hub.challenge": "<script>",
            "hub.lease_seconds": "60",
        }
        got, headers, text = fetch("GET", f"{desk.callback}?{urlencode(query)}")
        assert (got, text) == (200, b"<script>")
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"

    def test_nothing_else_is_confirmed(self, desk: Desk, hub: Hub) -> None:
        desk.subscribe(hub.url(status=503))
        query = f"?hub.mode=subscribe&hub.topic={quote(desk.topic, '')}&hub.lease_seconds=60"
        right = f"{query}&hub.challenge=x"
        assert status("GET", f"{desk.service.url}/websub/no-such-token{right}") == 404
        assert status("GET", f"{desk.callback}{query}") == 404
        assert status("GET", desk.callback) == 404
        assert status("HEAD", f"{desk.callback}{right}") == 405
        change(desk.engine, Feed, state="paused")
        assert status("GET", f"{desk.callback}{right}") == 404
        assert desk.subscription()["state"] == "asked"


class TestPush:
    @pytest.mark.parametrize("method", ["sha1", "sha512"])
    def test_what_is_published_is_there_to_fetch(self, desk: Desk, hub: Hub, method: str) -> None:
        desk.publish("first", hub=hub.url(method=method))
        desk.poll()
        polled = row(desk.engine, Feed)
        desk.subscribe(hub.url(method=method))
        desk.until_active(hub)
        change(desk.engine, Article, stage="done")

        desk.publish("second", "third")
        assert hub.publish(desk.topic) == [204]
        assert desk.titles() == ["second", "third"]
        assert desk.service.woken.get(timeout=30) == "fetch"
        assert desk.subscription()["pushed_at"] > polled["polled_at"]
        after = row(desk.engine, Feed)
        for kept in ("etag", "body_hash", "due_at", "polled_at", "changed_at", "failures"):
            assert after[kept] == polled[kept]

    def test_a_push_that_comes_again_brings_no_second_article(
        self, subscribed: Desk, hub: Hub
    ) -> None:
        subscribed.publish("second")
        assert [hub.publish(subscribed.topic) for _ in range(3)] == [[204]] * 3
        assert subscribed.titles() == ["first", "second"]

    def test_a_push_without_what_was_sent_before(self, subscribed: Desk) -> None:
        """Section 7: a hub may leave it out; it is not forgotten by that."""
        assert subscribed.push(document("second")) == 204
        assert subscribed.push(document("first", "third")) == 204
        assert subscribed.titles() == ["first", "second", "third"]

    def test_pushes_and_a_poll_at_once(self, subscribed: Desk, hub: Hub) -> None:
        names = [f"n{number}" for number in range(50)]
        subscribed.publish(*names)

        def push() -> None:
            assert hub.publish(subscribed.topic) == [204]

        batch = subscribed.claim()  # not meanwhile: a feed that is being pushed is passed over

        def poll() -> None:
            assert subscribed.poll(batch).result == "changed"

        at_once(push, poll, push)
        assert subscribed.titles() == sorted(["first", *names])

    def test_a_feed_that_is_followed_no_more_is_pushed_no_more(
        self, subscribed: Desk, hub: Hub
    ) -> None:
        change(subscribed.engine, Feed, state="paused")
        assert hub.publish(subscribed.topic) == [410]
        assert at(hub, subscribed) == []

    def test_an_end_that_was_wanted_is_confirmed(self, subscribed: Desk) -> None:
        topic = quote(subscribed.topic, "")
        query = f"?hub.mode=unsubscribe&hub.topic={topic}&hub.challenge=x"
        assert status("GET", subscribed.callback + query) == 404
        change(subscribed.engine, Feed, state="paused")
        assert status("GET", subscribed.callback + query) == 200

    @pytest.mark.parametrize("signature", ["", "sha256=00", "md5=00"])
    def test_a_push_that_is_not_signed_is_ignored(self, subscribed: Desk, signature: str) -> None:
        assert subscribed.push(document("forged"), signature=signature) == 204
        assert subscribed.titles() == ["first"]
        assert subscribed.refusals() == ["bad_signature"]
        assert subscribed.subscription()["pushed_at"] is None
        assert subscribed.service.woken.empty()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [(b"", "not_a_feed"), (b"<!doctype html><html></html>", "not_a_feed"),
         (b"<rss version='2.0'><channel><item><tit", "malformed_feed")],
    )  # fmt: skip
    def test_a_document_that_is_no_feed_is_not_asked_for_again(
        self, subscribed: Desk, body: bytes, reason: str
    ) -> None:
        assert subscribed.push(body) == 204
        assert subscribed.refusals() == [reason]
        feed = row(subscribed.engine, Feed)
        assert (feed["failures"], feed["state"]) == (0, "active")

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("size", [MOST_BYTES + 1, 200 * MOST_BYTES])
    def test_a_body_that_is_too_large_is_not_read(
        self, subscribed: Desk, size: int, *, chunked: bool
    ) -> None:
        large = document("large").ljust(size)
        assert subscribed.push(large, chunked=chunked) == 204
        assert subscribed.refusals() == ["too_large"]
        assert subscribed.titles() == ["first"]
        assert subscribed.push(document("small").ljust(MOST_BYTES), chunked=chunked) == 204
        assert subscribed.titles() == ["first", "small"]

    def test_a_body_in_a_coding_is_refused(self, subscribed: Desk) -> None:
        packed = gzip.compress(document("packed"))
        assert subscribed.push(packed, {**RSS, "Content-Encoding": "gzip"}) == 415
        assert subscribed.titles() == ["first"]

    def test_a_body_that_breaks_off(self, subscribed: Desk) -> None:
        body = document("broken off")
        head = post_head(subscribed, body, len(body) + 1)
        with socket.create_connection(subscribed.service.address, 30) as connection:
            connection.sendall(head + body)
        assert subscribed.push(document("whole")) == 204
        assert subscribed.titles() == ["first", "whole"]

    def test_a_feed_that_was_replaced_in_the_store_is_not_pushed_into(
        self, subscribed: Desk, hub: Hub
    ) -> None:
        feed_statements.remove(subscribed.engine, row(subscribed.engine, Feed)["id"])
        assert hub.publish(subscribed.topic) == [410]


def test_a_body_that_drips_ends_at_the_deadline(
    settings: Settings, engine: Engine, site: Site, hub: Hub, listener: socket.socket
) -> None:
    patient = settings.http.model_copy(update={"timeout_seconds": 1})
    with Service(settings.model_copy(update={"http": patient}), listener) as service:
        desk = Desk(settings, engine, site, service)
        desk.subscribe(hub.url(early=1))
        body = document("slow")
        with socket.create_connection(desk.service.address, 30) as connection:
            connection.sendall(post_head(desk, body, len(body)) + body[:10])
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    assert desk.titles() == []


def test_a_broker_that_forgets_or_goes_costs_no_push(
    settings: Settings,
    engine: Engine,
    site: Site,
    hub: Hub,
    listener: socket.socket,
    valkey: Valkey,
) -> None:
    broker = settings.broker.model_copy(update={"url": valkey.url})
    wake = waker(settings.model_copy(update={"broker": broker}))
    with Service(settings, listener, wake) as service:
        desk = Desk(settings, engine, site, service)
        desk.subscribe(hub.url(early=1))
        with valkey.client() as client:
            assert desk.push(document("first")) == 204
            service.woken.get(timeout=30)
            assert client.llen("kabar:fetch") == 1
            client.flushall()
            assert desk.push(document("second")) == 204
            service.woken.get(timeout=30)
            assert client.llen("kabar:fetch") == 1
        valkey.kill9()
        assert desk.push(document("third")) == 204
        assert desk.titles() == ["first", "second", "third"]


def test_while_the_store_is_out_of_reach_the_hub_has_to_come_again(
    make_settings: MakeSettings, listener: socket.socket
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"postgresql://kabar@127.0.0.1:{closed.getsockname()[1]}/kabar"
        settings = make_settings(store={"url": nowhere}, websub={"callback_url": url_of(listener)})
        with Service(settings, listener) as service:
            for method in ("GET", "POST"):
                got, headers, _ = fetch(method, f"{service.url}/websub/token")
                assert (got, headers["Retry-After"]) == (503, "10")


def test_without_a_callback_url_there_is_no_callback(
    make_settings: MakeSettings, migrated_sqlite_url: str, listener: socket.socket
) -> None:
    with Service(make_settings(store={"url": migrated_sqlite_url}), listener) as service:
        assert status("POST", f"{service.url}/websub/token") == 404


def test_the_web_process_does_without_celery_until_something_is_pushed() -> None:
    script = (
        "import sys, worker.cli.nodes, worker.web.websub\n"
        "assert 'celery' not in sys.modules and 'kombu' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def document(*names: str) -> bytes:
    """An RSS feed of articles with these names."""
    items = "".join(
        f"<item><title>{name}</title><guid>https://news.example/{name}</guid>"
        f"<link>https://news.example/{name}</link></item>"
        for name in names
    )
    return f"<rss version='2.0'><channel><title>News</title>{items}</channel></rss>".encode()


def at(hub: Hub, desk: Desk) -> list[dict[str, Any]]:
    """What the hub has for the desk's callback."""
    return [one for one in hub.subscriptions() if one["callback"] == desk.callback]


def post_head(desk: Desk, body: bytes, length: int) -> bytes:
    """The head of a push, signed for `body`, that promises `length` bytes."""
    return (
        f"POST {urlsplit(desk.callback).path} HTTP/1.1\r\nHost: me\r\nContent-Length: {length}\r\n"
        f"X-Hub-Signature: sha256={hmac.digest(desk.secret(), body, 'sha256').hex()}\r\n\r\n"
    ).encode()


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


def status(method: str, url: str, body: Any = None, headers: Any = None) -> int:
    return fetch(method, url, body, headers)[0]


def fetch(
    method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of an answer."""

    async def ask() -> tuple[int, Mapping[str, str], bytes]:
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, url, data=body, headers=headers) as response,
        ):
            return response.status, response.headers, await response.read()

    return asyncio.run(ask())
