"""robots.txt: what answers mean, what files mean, and how they are asked for."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from tests.http.peers import LOOPBACK, answer, header, path, peer, raw, redirect, settings
from worker.http import Client, Response
from worker.http.robots import Robots, RobotsFile, ask, from_response, missing
from worker.http.target import InvalidURLError
from worker.reasons import Reason

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
KABAR = "Kabar/0.1 (news reader; feeds and articles for its user)"
SITE = "https://desa.example"


def robots(*lines: str, body: bytes | None = None) -> Robots:
    return Robots(RobotsFile("\n".join(lines).encode() if body is None else body, 200, NOW + DAY))


def response(
    status: int | None, body: bytes = b"", failure: Reason | None = None, **headers: str
) -> Response:
    return Response(
        url=f"{SITE}/robots.txt",
        final_url=f"{SITE}/robots.txt",
        status=status,
        body=body,
        failure=failure,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


class TestAFile:
    def test_names_what_may_not_be_fetched(self) -> None:
        file = robots(
            "User-agent: *", "Disallow: /arsip/", "Allow: /arsip/2026/", "Disallow: *.pdf$"
        )
        for allowed in ("/", "/berita", "/arsip/2026/11", "/a.pdf?x"):
            assert file.allows(SITE + allowed, KABAR), allowed
        for denied in ("/arsip/", "/arsip/2025", "/a.pdf"):
            assert not file.allows(SITE + denied, KABAR), denied

    @pytest.mark.parametrize("written", ["Kabar", "kabar", "KABAR/1.0", "Kabar # us", "Kabar*"])
    def test_may_name_us(self, written: str) -> None:
        file = robots("User-agent: *", "Disallow: /", "", f"User-agent: {written}", "Disallow: /x")
        assert file.allows(f"{SITE}/a", KABAR)
        assert not file.allows(f"{SITE}/x", KABAR)

    @pytest.mark.parametrize(
        "written", ["Kab", "Kabarin", "bar", "news", "reader", "ours", "*bot", ""]
    )
    def test_names_others_by_a_part_of_our_name(self, written: str) -> None:
        file = robots(f"User-agent: {written}", "Disallow: /", "", "User-agent: *", "Disallow: /x")
        assert file.allows(f"{SITE}/a", KABAR)
        assert not file.allows(f"{SITE}/x", KABAR)

    def test_may_say_several_things_of_several_at_once(self) -> None:
        file = robots(
            "User-agent: Googlebot",
            "User-agent: Kabar",
            "Disallow: /one",
            "User-agent: Bingbot",
            "Disallow: /",
            "User-agent: kabar",
            "Disallow: /two",
        )
        assert [file.allows(SITE + at, KABAR) for at in ("/one", "/two", "/three")] == [
            False,
            False,
            True,
        ]

    @pytest.mark.parametrize(
        ("user_agent", "product"),
        [
            ("Desk-Reader/2.0", "desk-reader"),
            ("Mozilla/5.0 (compatible; Kabar/1.0; +https://desk.example)", "kabar"),
            ("Kabar", "kabar"),
        ],
    )
    def test_knows_us_by_the_product_token(self, user_agent: str, product: str) -> None:
        file = robots(f"User-agent: {product}", "Disallow: /")
        assert not file.allows(f"{SITE}/a", user_agent)

    def test_a_user_agent_without_a_product_is_anybody(self) -> None:
        file = robots("User-agent:", "Disallow: /", "User-agent: *", "Disallow: /x")
        assert file.allows(f"{SITE}/a", "2.0")
        assert not file.allows(f"{SITE}/x", "2.0")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\xfe\x00\x01 nonsense",
            b"<html><title>Not found</title></html>",
            b"Disallow: /",  # of nobody
            b"User-agents are asked to\nDisallow: /",
        ],
    )
    def test_without_rules_allows_everything(self, body: bytes) -> None:
        assert robots(body=body).allows(f"{SITE}/a", KABAR)

    def test_may_begin_with_a_byte_order_mark_and_end_lines_as_it_likes(self) -> None:
        file = robots(body=b"\xef\xbb\xbfUser-agent: Kabar\r\nDisallow: /a\rDisallow: /b\n")
        assert [file.allows(SITE + at, KABAR) for at in ("/a", "/b", "/c")] == [False, False, True]

    def test_made_to_take_gigabytes_takes_none(self) -> None:
        agents = "".join(f"User-agent: a{number}\r" for number in range(2_000))
        rules = "".join(f"Disallow: /{number}\r" for number in range(2_000))
        file = robots(body=f"{agents}{rules}User-agent: Kabar\rDisallow: /x".encode())
        tracemalloc.start()
        assert file.allows(f"{SITE}/1", KABAR)
        assert not file.allows(f"{SITE}/x", KABAR)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 20_000_000

    @pytest.mark.parametrize(
        ("written", "seconds"),
        [("5", 5), ("0.5", 0.5), ("0", 0), ("86400", 60), ("-1", None), ("soon", None), ("", None)],
    )
    def test_may_ask_for_a_delay(self, written: str, seconds: float | None) -> None:
        file = robots("User-agent: *", f"Crawl-delay: {written}", "Disallow: /x")
        assert file.crawl_delay(KABAR) == seconds

    def test_a_delay_for_others_is_none_for_us(self) -> None:
        file = robots("User-agent: *", "Crawl-delay: 9", "User-agent: Kabar", "Disallow: /x")
        assert file.crawl_delay(KABAR) is None
        assert file.crawl_delay("Other/1") == 9


class TestAnAnswer:
    def test_with_a_file(self) -> None:
        file = from_response(response(200, b"User-agent: *\nDisallow: /"), NOW)
        assert file == RobotsFile(b"User-agent: *\nDisallow: /", 200, NOW + DAY)
        assert not Robots(file).allows(f"{SITE}/a", KABAR)
        assert not Robots(file).unreachable

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ("max-age=7200", timedelta(hours=2)),
            ("max-age=60", timedelta(hours=1)),
            ("no-store", timedelta(hours=1)),
            ("max-age=31536000", DAY),
            ("public", DAY),
        ],
    )
    def test_is_kept_as_long_as_it_says_within_bounds(self, said: str, kept: timedelta) -> None:
        assert from_response(response(200, Cache_Control=said), NOW).until == NOW + kept

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 302])
    def test_that_there_is_none_allows_everything(self, status: int) -> None:
        file = from_response(response(status), NOW)
        assert file == RobotsFile(b"", status, NOW + DAY)
        assert Robots(file).allows(f"{SITE}/a", KABAR)

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (response(500), Reason.SERVER_ERROR),
            (response(503), Reason.SERVER_ERROR),
            (response(429), Reason.RATE_LIMITED),
            (response(999), Reason.UNEXPECTED_STATUS),
            (response(None, failure=Reason.TIMEOUT), Reason.TIMEOUT),
            (response(None, failure=Reason.DNS_FAILED), Reason.DNS_FAILED),
            (response(200, failure=Reason.TOO_LARGE), Reason.TOO_LARGE),
            (response(200, failure=Reason.CONNECTION_LOST), Reason.CONNECTION_LOST),
        ],
    )
    def test_that_is_none_leaves_the_host_alone_for_a_while(
        self, bad: Response, reason: Reason
    ) -> None:
        file = from_response(bad, NOW)
        assert file == RobotsFile(None, bad.status, NOW + timedelta(minutes=1), reason)
        assert Robots(file).unreachable
        assert not Robots(file).allows(f"{SITE}/a", KABAR)
        assert Robots(file).crawl_delay(KABAR) is None

    @pytest.mark.parametrize(
        ("asked", "wait"),
        [("10", timedelta(minutes=1)), ("600", timedelta(minutes=10)), ("9999999", DAY)],
    )
    def test_may_say_how_long_to_stay_away(self, asked: str, wait: timedelta) -> None:
        assert from_response(response(503, Retry_After=asked), NOW).until == NOW + wait

    def test_is_read_to_500_kib_in_whole_lines(self) -> None:
        line = b"Disallow: /a\n"
        body = b"User-agent: *\nDisallow: /first\n" + line * 60_000
        read = from_response(response(200, body), NOW).body or b""
        assert 512_000 - len(line) <= len(read) <= 512_000
        assert read.splitlines()[-1] + b"\n" == line
        assert from_response(response(200, b"x" * 600_000), NOW).body == b""
        assert from_response(response(200, b"x" * 512_000), NOW).body == b"x" * 512_000


class TestWhatIsMissing:
    def test_is_what_is_not_known_or_no_longer_holds(self) -> None:
        known = {
            "fresh.example": RobotsFile(b"", 404, NOW + timedelta(seconds=1)),
            "stale.example": RobotsFile(b"", 200, NOW),
        }
        urls = [
            "https://fresh.example/1",
            "https://stale.example/1",
            "https://new.example:81/1",
            "http://new.example:81/2",
            "mailto:desk@desa.example",
        ]
        assert missing(known, urls, NOW) == {
            "stale.example": "https://stale.example/1",
            "new.example:81": "https://new.example:81/1",
        }


class TestAsking:
    def test_is_a_request_for_the_hosts_own_file(self) -> None:
        async def run() -> tuple[list[bytes], RobotsFile]:
            there_is = answer(b"User-agent: Kabar\nDisallow: /a")
            async with peer(there_is) as there, Client(LOOPBACK) as client:
                file = await ask(client, there.url("/a/b?c=d"), None, NOW)
                return there.requests, file

        requests, file = asyncio.run(run())
        assert [path(request) for request in requests] == ["/robots.txt"]
        assert (header(requests[0], "User-Agent") or "").startswith("Kabar/")
        assert not Robots(file).allows(f"{SITE}/a", KABAR)
        assert NOW + DAY <= file.until < NOW + DAY + timedelta(minutes=1)

    def test_follows_redirects(self) -> None:
        async def run() -> RobotsFile:
            async with (
                peer(answer(b"User-agent: *\nDisallow: /a")) as far,
                peer(redirect(far.url("/elsewhere"), 301)) as there,
                Client(LOOPBACK) as client,
            ):
                return await ask(client, there.url(), None, NOW)

        assert asyncio.run(run()).status == 200

    def test_an_endless_chain_of_redirects_leads_to_none(self) -> None:
        async def run() -> RobotsFile:
            async with peer(redirect("/robots.txt")) as there, Client(LOOPBACK) as client:
                return await ask(client, there.url(), None, NOW)

        assert Robots(asyncio.run(run())).allows(f"{SITE}/a", KABAR)

    @pytest.mark.parametrize(
        ("last", "allowed"),
        [(b"User-agent: *\nDisallow: /a", ["/b"]), (b"", ["/a", "/b"]), (None, [])],
    )
    def test_while_the_host_is_broken_its_last_word_holds(
        self, last: bytes | None, allowed: list[str]
    ) -> None:
        async def run() -> RobotsFile:
            known = RobotsFile(last, 200, NOW - timedelta(days=3)) if last is not None else None
            async with peer(answer(status=502)) as there, Client(LOOPBACK) as client:
                return await ask(client, there.url(), known, NOW)

        file = asyncio.run(run())
        assert (file.body, file.status, file.reason) == (last, 502, Reason.SERVER_ERROR)
        assert [at for at in ("/a", "/b") if Robots(file).allows(SITE + at, KABAR)] == allowed

    def test_a_file_that_is_gone_holds_no_longer(self) -> None:
        async def run() -> RobotsFile:
            known = RobotsFile(b"User-agent: *\nDisallow: /", 200, NOW)
            async with peer(answer(status=404)) as there, Client(LOOPBACK) as client:
                return await ask(client, there.url(), known, NOW)

        assert asyncio.run(run()).body == b""

    def test_a_host_that_breaks_off_or_must_not_be_asked(self) -> None:
        async def run() -> list[RobotsFile]:
            async with peer(raw(b"nonsense")) as there, Client(LOOPBACK) as client:
                broken = await ask(client, there.url(), None, NOW)
                async with Client(settings()) as guarded:
                    return [broken, await ask(guarded, there.url(), None, NOW)]

        files = asyncio.run(run())
        assert [file.reason for file in files] == [Reason.CONNECTION_LOST, Reason.ADDRESS_DENIED]
        assert all(Robots(file).unreachable for file in files)

    def test_what_has_no_host_cannot_be_asked(self) -> None:
        async def run() -> None:
            async with Client(LOOPBACK) as client:
                await ask(client, "mailto:desk@desa.example", None, NOW)

        with pytest.raises(InvalidURLError):
            asyncio.run(run())
