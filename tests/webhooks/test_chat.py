"""Chat and mail targets: what apprise sends, and what comes of it."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import psutil
import pytest
from pydantic import SecretStr

from tests import waiting
from tests.http.peers import LOOPBACK, Handler, answer, drip, header, redirect, settings, stall
from tests.servers.mail import MailServer
from tests.tasks.site import Site, endless
from tests.webhooks.test_health import NOW
from worker.http import Response
from worker.reasons import Reason
from worker.settings import HttpSettings, WebhookSettings
from worker.webhooks import Delivery, Endpoint, Messenger, Target, decide, seal
from worker.webhooks.chat import _COMMAND
from worker.webhooks.events import test_ping as ping

SETTINGS = WebhookSettings()
DELIVERY = Delivery(9, "msg_abc", ping("desk", NOW).body, attempt=1)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def ntfy(site: Site, topic: str = "news") -> str:
    return f"ntfy://{site.url('')}/{topic}".replace("http://", "")


def sent(
    url: str,
    *,
    times: int = 1,
    having: HttpSettings = LOOPBACK,
    under: WebhookSettings = SETTINGS,
    allow_private: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[Response]:
    """What a target answers, asked so often."""
    endpoint = Endpoint(
        1, "chat", "shown://", url, allow_private=allow_private, allow_http=False, kind="chat"
    )

    async def run() -> list[Response]:
        async with Messenger(having) as messenger:
            answers = []
            for _ in range(times):
                answers.append(await messenger.send(endpoint, DELIVERY, under))
                meanwhile()
            return answers

    return asyncio.run(run())


def children() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children()
    return found


class TestSending:
    def test_a_message_over_http(self, site: Site) -> None:
        site.routes["/"] = answer(b'{"id":"x"}')
        (came,) = sent(ntfy(site))
        assert (came.ok, came.status, came.error) == (True, 200, None)
        assert (came.url, came.body) == ("shown://", b'{"id":"x"}')
        assert came.elapsed_seconds > 0
        (request,) = site.requests
        assert json.loads(request.partition(b"\r\n\r\n")[2]) == {
            "topic": "news", "title": "Test", "message": "Kabar reaches this endpoint.",
        }  # fmt: skip
        assert decide(DELIVERY, came, NOW, SETTINGS).state == "sent"

    def test_a_mail(self) -> None:
        with MailServer() as server:
            (came,) = sent(mail(server))
        assert (came.ok, came.status, came.body) == (True, None, b"250 queued")
        (text,) = server.messages
        assert "Subject: Test\r\n" in text
        assert "To: desk@example.org\r\n" in text
        assert "Kabar reaches this endpoint." in text

    def test_one_process_for_all_that_is_due_and_none_afterwards(self, site: Site) -> None:
        site.routes["/"] = answer()
        seen: list[int] = []
        before = {child.pid for child in children()}
        came = sent(
            ntfy(site),
            times=3,
            meanwhile=lambda: seen.extend({one.pid for one in children()} - before),
        )
        assert [one.ok for one in came] == [True] * 3
        assert len(seen) == 3
        assert len(set(seen)) == 1
        assert {child.pid for child in children()} == before

    def test_sealed_urls(self, site: Site) -> None:
        site.routes["/"] = answer()
        sealing = WebhookSettings(secret_key=SecretStr("k" * 43 + "="))
        (came,) = sent(seal(ntfy(site), sealing), under=sealing)
        assert came.ok
        (came,) = sent(seal(ntfy(site), sealing))
        assert came.error is Reason.INVALID_CONFIGURATION
        assert "webhooks.secret_key is not set" in came.detail
        assert len(site.requests) == 1


class TestFailures:
    @pytest.mark.parametrize(
        ("handler", "status", "reason"),
        [
            (answer(b"slow down", 429, headers={"Retry-After": "90"}), 429, Reason.RATE_LIMITED),
            (answer(b"oops", 500), 500, Reason.SERVER_ERROR),
            (answer(b"", 404), 404, Reason.NOT_FOUND),
            (answer(b"", 410), 410, Reason.GONE),
        ],
    )
    def test_a_status(self, site: Site, handler: Handler, status: int, reason: Reason) -> None:
        site.routes["/"] = handler
        (came,) = sent(ntfy(site))
        assert (came.ok, came.status, came.error) == (False, status, reason)
        assert came.detail.startswith(str(status))
        outcome = decide(DELIVERY, came, NOW, SETTINGS)
        assert outcome.reason is reason
        if status == 429:
            assert outcome.rest is not None
            assert outcome.rest.total_seconds() == 90
            assert outcome.excerpt == "slow down"

    def test_a_redirect_is_not_followed(self, site: Site) -> None:
        site.routes = {"/": redirect("/elsewhere", 307), "/elsewhere": answer()}
        (came,) = sent(ntfy(site))
        assert came.error is Reason.REDIRECTED
        assert site.asked("/elsewhere") == 0

    def test_a_mail_server_that_takes_nothing(self) -> None:
        with MailServer("550 no such mailbox") as server:
            (came,) = sent(mail(server))
        assert (came.ok, came.error) == (False, Reason.NOT_ACCEPTED)
        assert b"550 no such mailbox" in came.body
        assert server.messages == []

    def test_a_mail_server_that_knows_no_passwords(self) -> None:
        with MailServer() as server:
            (came,) = sent(mail(server, "user:hunter2@"))
        assert came.error is Reason.NOT_ACCEPTED
        assert b"AUTH" in came.body
        assert "hunter2" not in f"{came!r} {came.body!r}"

    @pytest.mark.parametrize("scheme", ["ntfy", "mailto"])
    def test_nobody_there(self, free_port: int, scheme: str) -> None:
        (came,) = sent(f"{scheme}://127.0.0.1:{free_port}/news?from=a@example.org&to=b@example.org")
        assert came.error is Reason.CONNECT_FAILED

    def test_a_url_that_says_to_nobody(self, free_port: int) -> None:
        (came,) = sent(f"mailto://127.0.0.1:{free_port}/news?from=a@example.org")
        assert came.error is Reason.INVALID_CONFIGURATION
        assert "may lack a part" in came.detail

    def test_a_name_that_there_is_not(self) -> None:
        (came,) = sent("ntfy://nowhere.invalid/news")
        assert came.error is Reason.DNS_FAILED

    def test_what_apprise_does_not_know(self) -> None:
        assert sent("nowhere://x")[0].error is Reason.INVALID_URL

    @pytest.mark.parametrize(
        "hang", [stall(), drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x")]
    )
    def test_a_service_that_hangs_holds_nothing_up(self, site: Site, hang: Handler) -> None:
        """The deadline is ours: apprise's own begins anew with each byte."""
        site.routes["/"] = hang
        before = {child.pid for child in children()}
        (came,) = sent(ntfy(site), under=WebhookSettings(timeout_seconds=2))
        assert came.error is Reason.TIMEOUT
        assert {child.pid for child in children()} == before

    @pytest.mark.slow
    def test_an_answer_without_end(self, site: Site) -> None:
        site.routes["/"] = endless(1_000_000_000)
        (came,) = sent(ntfy(site))
        assert came.error in {Reason.NOT_ACCEPTED, Reason.CONNECTION_LOST, Reason.TIMEOUT}

    @pytest.mark.slow
    def test_without_its_parent_it_ends_by_itself(self, site: Site) -> None:
        site.routes["/"] = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x")
        with subprocess.Popen(_COMMAND, stdin=PIPE, stdout=PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            order = {"url": ntfy(site), "title": "Test", "text": "Test", "seconds": 1}
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            assert "127.0.0.1" in process.stdout.readline()
            process.stdin.write("true\n")
            process.stdin.close()
            assert process.wait(60) == -signal.SIGALRM

    def test_after_one_that_hung_the_next_is_sent(self, site: Site) -> None:
        site.routes["/"] = stall()

        def heal() -> None:
            site.routes["/"] = answer()

        came = sent(ntfy(site), times=2, under=WebhookSettings(timeout_seconds=2), meanwhile=heal)
        assert [one.ok for one in came] == [False, True]

    def test_a_process_that_is_killed(self, site: Site) -> None:
        site.routes["/"] = answer()
        before = {child.pid for child in children()}

        def kill() -> None:
            for child in children():
                if child.pid not in before:
                    child.kill()
            waiting.until(lambda: {one.pid for one in children()} == before, "it is gone")

        first, second, third = sent(ntfy(site), times=3, meanwhile=kill)
        assert (first.ok, second.ok, third.ok) == (True, False, True)
        assert second.error is Reason.CONNECTION_LOST


class TestGuard:
    def test_a_private_address_has_to_be_allowed(self, site: Site) -> None:
        site.routes["/"] = answer()
        nowhere = settings()
        (came,) = sent(ntfy(site), having=nowhere)
        assert came.error is Reason.ADDRESS_DENIED
        assert "127.0.0.1 must not be connected to" in came.detail
        assert site.requests == []
        assert sent(ntfy(site), having=nowhere, allow_private=True)[0].ok

    def test_mail_too(self) -> None:
        with MailServer() as server:
            (came,) = sent(mail(server), having=settings())
        assert came.error is Reason.ADDRESS_DENIED
        assert server.messages == []

    @pytest.mark.parametrize("host", ["localhost", "127.1", "[::1]", "2130706433"])
    def test_however_it_is_written(self, site: Site, host: str) -> None:
        port = site.url("").rpartition(":")[2]
        (came,) = sent(f"ntfy://{host}:{port}/news", having=settings())
        assert not came.ok
        assert site.requests == []

    def test_metadata_services_are_never_allowed(self) -> None:
        (came,) = sent("ntfy://169.254.169.254/news", allow_private=True)
        assert came.error is Reason.ADDRESS_DENIED

    def test_proxies_netrc_and_our_secrets_stay_outside(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY", "sesame")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
        site.routes["/"] = answer()
        held: list[dict[str, str]] = []
        before = {child.pid for child in children()}

        def look() -> None:
            (mine,) = [child for child in children() if child.pid not in before]
            held.append(mine.environ())

        (came,) = sent(ntfy(site), meanwhile=look)
        assert came.ok
        assert header(site.requests[0], "Authorization") is None
        assert not [name for name in held[0] if "proxy" in name.lower() or "KABAR" in name]
        assert held[0]["NETRC"] == os.devnull


class TestDescribing:
    @pytest.mark.parametrize(
        ("url", "target"),
        [
            (
                "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#news",
                Target("slack://T...2/A...D/T...Q/%23news/", "Slack"),
            ),
            (
                "mailto://user:hunter2@example.org?smtp=mail.example.org",
                Target("mailto://user:****@example.org/", "E-Mail"),
            ),
            ("nowhere://x", None),
            ("slack://", None),
        ],
    )
    def test_what_may_be_seen_of_a_url(self, url: str, target: Target | None) -> None:
        async def run() -> Target | None:
            async with Messenger(LOOPBACK) as messenger:
                return await messenger.describe(url)

        assert asyncio.run(run()) == target


def mail(server: MailServer, who: str = "") -> str:
    return f"mailto://{who}127.0.0.1:{server.port}/?from=kabar@example.org&to=desk@example.org"
