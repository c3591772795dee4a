"""The 25 acceptance tests of webhooks, by number: here, or where `ELSEWHERE` says."""

import ast
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event

import psutil
import pytest
from sqlalchemy import Engine

from bench._receivers import Receivers
from bench.webhooks import stories as facts
from tests import waiting
from tests.celery.rig import PATIENCE, Rig
from tests.celery.test_acceptance import kill_with_pool
from tests.http.peers import Handler, answer, drip, header, raw, redirect, stall
from tests.store import outbox
from tests.store.rows import HOUR, NOON, add_article, change, claimed, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.running import running
from tests.tasks.site import Site
from tests.webhooks.certificates import Authority
from tests.webhooks.test_deliver import response, verify
from worker import tasks
from worker import webhooks as room
from worker.app import make_app
from worker.settings import WebhookSettings
from worker.store import open_engine, stories
from worker.store import webhooks as statements
from worker.store.models import Attempt, Delivery, Endpoint, Tally
from worker.store.models import Event as EventRow
from worker.store.sessions import read_now, writing
from worker.webhooks.events import EVENT_TYPES

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 5
LEASE = {"KABAR_LEASES__DELIVER": "12", "KABAR_WEBHOOKS__TIMEOUT_SECONDS": str(TIMEOUT)}
SERVICE = ("beat", "worker --role control")

ELSEWHERE: dict[int, dict[str, Sequence[str]]] = {
    1: {
        "webhooks/test_sign.py": (
            "TestVectors::test_is_signed",
            "TestVectors::test_the_judge_refuses_others",
            "TestVectors::test_the_judge_refuses_others_of_the_second",
            "TestVectors::test_the_judge_wants_the_time_of_the_attempt",
        ),
    },
    4: {
        "webhooks/test_deliver.py": (
            "TestSend::test_a_secret_that_was_replaced_signs_until_its_time_is_over",
        ),
        "webhooks/test_sign.py": (
            "TestRotation::test_each_secret_signs_and_one_space_stands_between",
        ),
        "store/test_webhooks.py": ("TestSecrets::test_the_old_one_signs_too_for_a_while",),
    },
    5: {
        "store/test_stories.py": (
            "TestAtOnce::test_eight_publishers_open_one_story",
            "TestAtOnce::test_eight_processes_publish_a_flood",
        ),
    },
    6: {
        "store/test_stories.py": ("TestFailure::test_story_and_event_stand_or_fall_together",),
    },
    10: {
        "celery/test_acceptance.py": ("test_sigterm_lets_a_task_finish",),
        "tasks/test_batches.py": ("test_at_the_end_an_endpoint_that_is_served_is_given_back",),
    },
    15: {
        "webhooks/test_deliver.py": (
            "TestWaits::test_what_the_receiver_asks_for_is_a_floor_up_to_a_day",
        ),
        "store/test_webhooks.py": (
            "TestResting::test_what_it_asks_for_holds_for_all_of_its_deliveries",
        ),
        "webhooks/test_health.py": (
            "TestResting::test_it_is_never_left_alone_for_less_than_it_asks",
        ),
    },
    16: {
        "tasks/test_bad_input.py": ("TestEndpoints::test_one_that_is_gone_is_disabled",),
        "store/test_webhooks.py": (
            "TestRecord::test_an_endpoint_that_is_gone_is_disabled_and_its_deliveries_held",
            "TestRecord::test_the_others_are_told_of_it_once",
        ),
        "store/test_stories.py": (
            "TestOpen::test_what_is_for_a_disabled_endpoint_is_held_with_the_reason",
        ),
    },
    19: {
        "webhooks/test_ssrf.py": (
            "test_nothing_is_connected_when_sending",
            "test_nothing_is_connected_when_an_endpoint_is_made",
            "test_a_name_with_any_denied_address",
            "test_a_name_that_is_rebound",
            "test_a_redirect",
        ),
        "http/test_guard.py": (
            "test_one_request_looks_a_name_up_once",
            "test_the_check_stands_at_the_connection_itself",
        ),
    },
    21: {
        "http/test_client.py": ("test_proxies_and_netrc_of_the_environment_are_ignored",),
    },
    23: {
        "tasks/test_endpoints.py": (
            "TestResting::test_one_that_fails_is_left_alone_until_it_takes_one",
            "TestResting::test_another_process_knows_of_it",
        ),
        "store/test_webhooks.py": (
            "TestResting::test_after_five_failures_nothing_begins_and_nothing_is_counted",
            "TestResting::test_whoever_comes_there_is_one_to_see_if_it_answers",
            "TestResting::test_one_success_closes_it",
        ),
    },
}


def test_each_number_has_its_tests() -> None:
    here = {int(name[5:7]) for name in names_in(Path(__file__)) if re.match(r"test_\d\d_", name)}
    assert sorted([*here, *ELSEWHERE]) == [*range(1, 26)]
    for number, files in ELSEWHERE.items():
        for path, names in files.items():
            assert names_in(ROOT / "tests" / path) >= {*names}, (number, path)


def names_in(path: Path) -> set[str]:
    """The tests in a file, `TestClass::test_name` where they stand in a class."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {before + one.name for one in inner if isinstance(one, ast.FunctionDef)}
    return found


# Over the wire.


def publish(engine: Engine, number: int = 1, **values: object) -> None:
    for _ in range(number):
        add_article(engine, "publish", **values)
    stories.publish(engine, claimed(engine, "publish"))


def posts(site: Site) -> list[bytes]:
    return [request for request in site.requests if request.startswith(b"POST")]


@contextmanager
def receivers(engine: Engine, count: int) -> Iterator[Receivers]:
    """Receivers of so many endpoints, which judge what they are sent."""
    secret = room.generate_secret()
    with Receivers(secret, count) as there:
        for place, url in enumerate(there.urls):
            add(engine, f"e{place}", url, secret)
        yield there


def add(engine: Engine, name: str, url: str, secret: str) -> None:
    added = statements.add(
        engine, name, url, secret, event_types=EVENT_TYPES, allow_private=True, allow_http=True
    )
    assert added


def tell(engine: Engine, number: int, *, after: int = 0) -> None:
    """Tell all endpoints of so many stories, those `after` so many, and wake nobody."""
    with writing(engine) as connection:
        now = read_now(connection)
        listeners = statements.listeners(connection)
        for one in islice(facts(), after, after + number):
            statements.tell(connection, room.story_created(one, now), listeners)


def assert_each_came_once(there: Receivers, expected: int) -> None:
    came = Counter((place, webhook_id) for place, webhook_id, _ in there.accepted())
    assert len(came) == expected
    assert max(came.values()) == 1


def test_02_what_is_stored_is_what_is_signed_and_sent(either_bench: Bench, site: Site) -> None:
    bench = either_bench
    site.routes["/hook"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    bench.tell(site.url("/hook"))
    long = "Sungai Ciliwung “meluap” — 河水泛滥 😀. " * 2_000
    publish(bench.engine, title="Banjir di Münster: “naïf”", summary=long, language="id")
    tasks.deliver()
    (request,) = posts(site)
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == row(bench.engine, EventRow)["body"]
    assert "河水泛滥" in json.loads(body)["data"]["story"]["summary"]
    assert json.loads(body)["data"]["story"]["summary"].endswith("…")
    assert len(body) <= 20_000
    verify(request, bench.secret)
    names = [line.split(b":")[0].decode() for line in head.split(b"\r\n")[1:]]
    signed = ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert [name for name in names if name.lower().startswith("webhook")] == signed
    assert (header(request, "webhook-timestamp") or "").isdigit()
    assert "." not in (header(request, "webhook-id") or ".")


def test_03_a_retry_has_its_own_time_and_all_else_as_it_was(
    either_bench: Bench, site: Site
) -> None:
    bench = either_bench
    bench.tell(site.url("/hook"))
    publish(bench.engine)
    for status in (500, 500, 200):
        site.routes["/hook"] = answer(status=status)
        bench.make_due()
        tasks.deliver()
        second = int(time.time())  # of which the time that is signed has no parts
        waiting.until(partial(is_after, second), "the next attempt is in another")
    requests = posts(site)
    assert len(requests) == 3
    assert bench.delivery()["state"] == "sent"
    assert len({request.partition(b"\r\n\r\n")[2] for request in requests}) == 1
    assert len({header(request, "webhook-id") for request in requests}) == 1
    assert len({header(request, "webhook-timestamp") for request in requests}) == 3
    for request in requests:
        verify(request, bench.secret)


def is_after(second: int) -> bool:
    return int(time.time()) > second


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_17_a_redirect_is_not_followed(bench: Bench, site: Site, status: int) -> None:
    with Site() as canary:
        site.routes["/hook"] = redirect(canary.url("/"), status)
        bench.tell(site.url("/hook"))
        publish(bench.engine)
        tasks.deliver()
        assert canary.requests == []
    delivery = bench.delivery()
    assert (delivery["state"], delivery["reason"]) == ("pending", "redirected")


OK = b"HTTP/1.1 200 OK\r\n"
CODED = b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


@pytest.mark.parametrize(
    ("handler", "state"),
    [
        (drip(OK, b"X-Drip: 1\r\n"), "pending"),
        (drip(OK + b"Content-Length: 99999\r\n\r\n", b"."), "sent"),
        (drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK), "sent"),
        (stall(OK + b"Content-Length: 9\r\n\r\nthe"), "sent"),
        (drip(OK + CODED, _CHUNK), "sent"),
        (stall(), "pending"),
    ],
    ids=["headers", "body", "endless", "stalled", "coded", "nothing"],
)  # fmt: skip
def test_18_whatever_a_receiver_drips_it_has_an_end(
    make_bench: MakeBench, site: Site, handler: Handler, state: str
) -> None:
    bench = make_bench(webhooks={"timeout_seconds": 1})
    site.routes["/hook"] = handler
    bench.tell(site.url("/hook"))
    publish(bench.engine)
    tasks.deliver()  # which the first time imports a lot
    change(bench.engine, Endpoint, state="active")
    publish(bench.engine)
    before = psutil.Process().memory_info().rss
    bench.make_due()
    tasks.deliver()
    assert psutil.Process().memory_info().rss - before < 20_000_000
    assert {one["state"] for one in rows(bench.engine, Delivery)} == {state}
    for attempt in bench.attempts():
        assert len(attempt["excerpt"] or "") <= 2_000
        assert attempt["duration_seconds"] < 1 + 1 + TIMEOUT  # far from for ever


SENT_BY_TLS = """
import asyncio, ssl, sys
from datetime import UTC, datetime
from tests.http.peers import LOOPBACK, answer, peer
from tests.webhooks.test_deliver import SECRET, delivery
from worker.http import Client
from worker.reasons import Reason
from worker.settings import WebhookSettings
from worker.webhooks import Endpoint, send

def context(file, names):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(file)
    made.sni_callback = lambda _, name, __: names.append(name)
    return made

async def main(good, expired, other, own):
    for file in (good, expired, other, own):
        names, failure = [], None if file == good else Reason.TLS_FAILED
        async with (
            peer(answer(b"ok"), tls=context(file, names)) as there,
            Client(LOOPBACK) as client,
        ):
            to = Endpoint(1, "hook", f"https://localhost:{there.port}/", SECRET, False, False)
            came = await send(client, to, delivery(), datetime.now(UTC), WebhookSettings())
            assert came.failure is failure, (file, came)
            assert names == ["localhost"], names
            assert len(there.requests) == (failure is None), (file, there.requests)

asyncio.run(main(*sys.argv[1:]))
"""


def test_20_without_a_good_certificate_nothing_is_sent(tmp_path: Path) -> None:
    """In a process of its own: what is trusted is read when aiohttp is imported."""
    authority = Authority(tmp_path)
    files = [
        authority.issue("localhost"),
        authority.issue("localhost", until=datetime.now(UTC) - timedelta(hours=1)),
        authority.issue("other.example"),
        ROOT / "tests" / "data" / "http" / "localhost.pem",
    ]
    environment = {**os.environ, "SSL_CERT_FILE": str(authority.file), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SENT_BY_TLS, *files],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_20_plain_http_has_to_be_allowed(bench: Bench, site: Site) -> None:
    site.routes["/hook"] = answer()
    bench.tell(site.url("/hook"))
    change(bench.engine, Endpoint, allow_http=False)
    publish(bench.engine)
    tasks.deliver()
    assert site.requests == []
    assert (bench.delivery()["state"], bench.delivery()["reason"]) == ("dead", "invalid_url")


# What the processes may do to it.


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_07_what_nobody_was_woken_for_is_sent(either_rig: Rig) -> None:
    """As after a kill between the commit and the wake-up."""
    engine = open_engine(either_rig.settings)
    with receivers(engine, 2) as there:
        tell(engine, 1)
        either_rig.start(*SERVICE, "worker --role io")
        waiting.until(lambda: there.count() == 2, "both are told", PATIENCE)
        assert_each_came_once(there, 2)
    engine.dispose()


def answered_while_stopped(pids: Callable[[], Sequence[int]], status: int, first: Event) -> Handler:
    """Answer the first request once its sender stands still, so that it cannot note the answer."""
    later = answer()

    async def handler(request: bytes, writer: object) -> None:
        if first.is_set():
            return await later(request, writer)  # type: ignore[arg-type]
        for pid in pids():
            os.kill(pid, signal.SIGSTOP)
        first.set()
        return await answer(status=status)(request, writer)  # type: ignore[arg-type]

    return handler


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_08_what_was_accepted_and_not_noted_is_sent_again_the_same(
    either_rig: Rig, site: Site
) -> None:
    engine, first = open_engine(either_rig.settings), Event()
    add(engine, "desk", site.url("/hook"), room.generate_secret())
    *_, worker = either_rig.start(*SERVICE, "worker --role io --concurrency 1", **LEASE)
    site.routes["/hook"] = answered_while_stopped(worker.pool, 200, first)
    publish(engine)
    waiting.until(first.is_set, "it is accepted", PATIENCE)
    kill_with_pool(worker)
    either_rig.start("worker --role io --concurrency 1", **LEASE)
    waiting.until(lambda: row(engine, Delivery)["state"] == "sent", "it is sent", PATIENCE)
    one, other = posts(site)
    assert one.partition(b"\r\n\r\n")[2] == other.partition(b"\r\n\r\n")[2]
    assert header(one, "webhook-id") == header(other, "webhook-id")
    assert [attempt["outcome"] for attempt in rows(engine, Attempt)] == ["unknown", "sent"]
    engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_09_who_wakes_up_too_late_flips_nothing(either_rig: Rig, site: Site) -> None:
    engine, first = open_engine(either_rig.settings), Event()
    add(engine, "desk", site.url("/hook"), room.generate_secret())
    *_, late = either_rig.start(*SERVICE, "worker --role io --concurrency 1", **LEASE)
    pool = late.pool()
    # Its parent first, which would end it before the lease does.
    site.routes["/hook"] = answered_while_stopped(lambda: [late.pid, *pool], 500, first)
    publish(engine)
    waiting.until(first.is_set, "it is refused", PATIENCE)
    either_rig.start("worker --role io --concurrency 1", **LEASE)
    waiting.until(lambda: row(engine, Delivery)["state"] == "sent", "it is sent", PATIENCE)
    for pid in pool:
        os.kill(pid, signal.SIGCONT)

    def first_attempt() -> str:
        return str(rows(engine, Attempt)[0]["outcome"])

    waiting.until(lambda: first_attempt() == "failed", "the late one says what it came to", 30)
    delivery, endpoint = row(engine, Delivery), row(engine, Endpoint)
    assert (delivery["state"], delivery["attempts"], delivery["reason"]) == ("sent", 2, None)
    assert endpoint["lease_token"] is None
    engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_11_a_broker_that_forgets_loses_none_of_a_thousand(either_rig: Rig) -> None:
    engine = open_engine(either_rig.settings)
    with receivers(engine, 10) as there, either_rig.broker.client() as client:
        tell(engine, 100)
        either_rig.start(*SERVICE, "worker --role io")

        def flush() -> bool:
            client.flushall()
            return there.count() >= 1_000

        waiting.until(flush, "all are told", PATIENCE, step=0.1)
        assert_each_came_once(there, 1_000)
    engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_12_a_message_that_comes_five_times_sends_once(either_rig: Rig) -> None:
    engine, app = open_engine(either_rig.settings), make_app(either_rig.settings)
    with receivers(engine, 5) as there:
        tell(engine, 20)
        for _ in range(5):
            app.send_task("kabar.deliver", queue="deliver")
        either_rig.start("worker --role io --concurrency 5", KABAR_WEBHOOKS__BATCH="2")
        waiting.until(lambda: there.count() >= 100, "all are told", PATIENCE)
        waiting.until(lambda: not leased(engine), "all are at rest", PATIENCE)
        assert_each_came_once(there, 100)
    app.close()
    engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_13_eight_processes_send_3_000_once_each(either_rig: Rig) -> None:
    engine = open_engine(either_rig.settings)
    with receivers(engine, 20) as there:
        tell(engine, 150)
        *_, worker = either_rig.start(
            *SERVICE, "worker --role io --concurrency 8", KABAR_WEBHOOKS__BATCH="2"
        )
        waiting.until(lambda: there.count() >= 3_000, "all are told", 240)
        waiting.until(lambda: not leased(engine), "all are at rest", PATIENCE)
        assert_each_came_once(there, 3_000)
    assert {one["state"] for one in rows(engine, Delivery)} == {"sent"}
    assert len(rows(engine, Attempt)) == 3_000
    bad = [one for one in worker.records() if one["level"] in ("error", "critical")]
    assert bad == []
    engine.dispose()


def leased(engine: Engine) -> list[str]:
    return [one["name"] for one in rows(engine, Endpoint) if one["lease_token"]]


# What time does to it.


def test_14_ten_attempts_and_then_it_is_dead(engine: Engine) -> None:
    statements.add(engine, "desk", "https://desk.example/", room.generate_secret(),
                   event_types=EVENT_TYPES)  # fmt: skip
    change(engine, Endpoint, due_at=NOON)
    publish(engine)
    endpoint_id, now, waits = row(engine, Endpoint)["id"], NOON, []
    for number in range(1, 11):
        batch = claimed(engine, "deliver", now)
        (begun,) = outbox.begin(engine, batch, endpoint_id, 4, now)
        outcome = room.decide(begun, response(500), now, WebhookSettings())
        outbox.record(engine, endpoint_id, [outcome], now)
        outbox.give_back(engine, batch, endpoint_id, now)
        delivery = row(engine, Delivery)
        assert (begun.attempt, delivery["attempts"]) == (number, number)
        if delivery["state"] == "pending":
            waits.append((delivery["due_at"] - now).total_seconds())
            # Whichever is later: its own turn, or when its endpoint has rested.
            now = max(delivery["due_at"], row(engine, Endpoint)["resting_until"] or now)
    assert (delivery["state"], delivery["reason"]) == ("dead", "server_error")
    for wait, planned in zip(waits, WebhookSettings().retry_seconds, strict=True):
        assert 0.8 * planned <= wait <= 1.2 * planned
    ends = [one["outcome"] for one in rows(engine, Tally) if one["stage"] == "deliver"]
    assert ends == ["pending"] * 9 + ["dead"]
    assert statements.deliveries(engine, 10, statements.Wanted(failed=True))[0]["state"] == "dead"


def test_22_one_that_hangs_takes_its_own_places_only(bench: Bench, site: Site) -> None:
    site.routes |= {"/hang": stall(), "/good": answer()}
    bench.tell(site.url("/hang"), "hangs")
    tell(bench.engine, 1_000)
    bench.tell(site.url("/good"), "good")
    tell(bench.engine, 40, after=1_000)
    good = row(bench.engine, Endpoint, name="good")["id"]

    def tell_good() -> None:
        with running(tasks.deliver):
            waiting.until(
                lambda: len(rows(bench.engine, Delivery, endpoint_id=good, state="sent")) == 40,
                "the good one is told all",
            )
            tasks.stop(0)

    with pytest.raises(CancelledError):
        tell_good()
    assert site.asked("/hang") == bench.settings.webhooks.max_in_flight


def test_24_what_a_lost_endpoint_missed_is_sent_when_it_is_back(
    either_bench: Bench, site: Site
) -> None:
    bench, engine = either_bench, either_bench.engine
    site.routes["/hook"] = answer(status=500)
    bench.tell(site.url("/hook"))
    publish(engine)
    long_ago = bench.now() - timedelta(hours=121)
    change(engine, Endpoint, failures=9, failing_at=bench.now() - timedelta(hours=119))
    tasks.deliver()
    assert row(engine, Endpoint)["state"] == "active"
    change(engine, Endpoint, failing_at=long_ago)
    bench.make_due()
    tasks.deliver()
    assert (row(engine, Endpoint)["state"], row(engine, Endpoint)["reason"]) == (
        "disabled", "kept_failing",
    )  # fmt: skip

    publish(engine, 50)
    assert {one["state"] for one in rows(engine, Delivery)} == {"held"}
    site.routes["/hook"] = answer()
    before = len(posts(site))
    endpoint_id = row(engine, Endpoint)["id"]
    assert statements.resume(engine, endpoint_id) == 51
    tasks.deliver()
    told = {header(request, "webhook-id") for request in posts(site)[before:]}
    assert told == {event["webhook_id"] for event in rows(engine, EventRow)}
    assert len(posts(site)) == before + 51
    assert statements.resume(engine, endpoint_id) == 0
    tasks.deliver()
    assert len(posts(site)) == before + 51
    health = row(engine, Endpoint)
    assert (health["failures"], health["failing_at"]) == (0, None)


def test_25_no_secret_is_written_anywhere(
    either_bench: Bench,
    site: Site,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("asyncio", "worker"):
        caplog.set_level(logging.DEBUG, name)
    caplog.set_level(logging.INFO)
    bench, engine = either_bench, either_bench.engine
    site.routes |= {"/hook": answer(b"x" * 9_000, 500), "/quiet": answer()}
    address = site.url("/hook").removeprefix("http://")
    bench.tell(f"http://sesame:simsim@{address}")
    statements.add(engine, "quiet", site.url("/quiet"), bench.secret, event_types=["feed.failing"],
                   allow_private=True, allow_http=True)  # fmt: skip
    statements.rotate(
        engine, row(engine, Endpoint, name="desk")["id"], room.generate_secret(), HOUR
    )
    publish(engine)
    tasks.context().wakes.wake("deliver")
    with bench.valkey.client() as client:
        messages = [client.lrange(key, 0, -1) for key in client.keys("kabar:deliver")]
    tasks.deliver()
    site.routes["/hook"] = answer(b"ok")
    bench.make_due()
    tasks.deliver()
    assert bench.delivery()["state"] == "sent"
    assert site.asked("/quiet") == 0, "it did not subscribe to that"

    endpoint = statements.known(row(engine, Endpoint, name="desk"))
    signatures = [header(request, "webhook-signature") or "" for request in posts(site)]
    secrets = [endpoint.secret, bench.secret, "sesame", "simsim", "whsec_"]
    assert all(len(signature.split(" ")) == 2 for signature in signatures)
    secrets += [one for signature in signatures for one in signature.split(" ")]
    written = [
        caplog.text, capsys.readouterr().out, repr(endpoint), repr(messages),
        repr(rows(engine, Attempt)),
        repr(rows(engine, Delivery)), repr(rows(engine, Tally)), repr(rows(engine, EventRow)),
    ]  # fmt: skip
    assert messages
    assert "delivered" in "".join(written)
    for text in written:
        assert not [secret for secret in secrets if secret in text]
    assert {len(one["excerpt"]) for one in rows(engine, Attempt)} == {2_000, 2}
