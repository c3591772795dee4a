"""The client against peers on loopback: whatever they do, one `Response` comes back."""

import asyncio
import base64
import gzip
import os
import ssl
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.http.peers import (
    LOOPBACK,
    Handler,
    Peer,
    answer,
    drip,
    half_closed,
    header,
    name_server,
    path,
    peer,
    raw,
    recorded_connects,
    redirect,
    settings,
    stall,
)
from tests.waiting import until
from worker.http import Client, Hop, Response
from worker.reasons import Reason
from worker.settings import HttpSettings

CERTIFICATE = Path(__file__).parents[1] / "data" / "http" / "localhost.pem"
ROOT = Path(__file__).parents[2]
BOMB_BYTES = 200_000_000

Ask = Callable[[Client, Peer], Awaitable[Response]]


def exchange(
    handler: Handler,
    ask: Ask = lambda client, there: client.get(there.url()),
    having: HttpSettings = LOOPBACK,
    tls: ssl.SSLContext | None = None,
) -> tuple[Response, Peer]:
    """What `ask` gets from a peer that answers by `handler`, and the peer."""

    async def run() -> tuple[Response, Peer]:
        async with peer(handler, tls=tls) as there, Client(having) as client:
            return await ask(client, there), there

    return asyncio.run(run())


def getting(**options: object) -> Ask:
    return lambda client, there: client.get(there.url(), **options)  # type: ignore[arg-type]


def posting(**options: object) -> Ask:
    return lambda client, there: client.post(there.url(), b"{}", **options)  # type: ignore[arg-type]


def packed(coding: str, plain: bytes) -> bytes:
    pack = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }
    return pack[coding](plain)


# What is sent.


def test_a_get_says_who_asks() -> None:
    response, there = exchange(answer(b"hello", headers={"ETag": '"1"'}))
    (request,) = there.requests
    assert request.startswith(b"GET / HTTP/1.1\r\n")
    assert header(request, "User-Agent") == HttpSettings().user_agent
    assert (response.status, response.body, response.etag) == (200, b"hello", '"1"')
    assert (response.failure, response.hops, response.detail) == (None, (), "200 Phrase")
    assert response.final_url == there.url()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_is_advertised_is_decoded(coding: str) -> None:
    plain = b"the body " * 100_000
    response, there = exchange(
        answer(packed(coding, plain), headers={"Content-Encoding": coding.upper()})
    )
    assert header(there.requests[0], "Accept-Encoding") == "gzip, deflate, br, zstd"
    assert (response.failure, response.body) == (None, plain)


def test_a_post_asks_for_no_coding_and_decodes_none() -> None:
    packed = gzip.compress(b"x" * 1000)
    response, there = exchange(
        answer(packed, headers={"Content-Encoding": "gzip"}),
        posting(headers={"Webhook-Id": "msg_1", "accept-encoding": "gzip"}),
    )
    (request,) = there.requests
    assert request.startswith(b"POST / HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n{}")
    assert header(request, "Webhook-Id") == "msg_1"
    assert header(request, "Accept-Encoding") == "identity"
    assert response.body == packed


def test_cookies_are_not_kept() -> None:
    async def twice(client: Client, there: Peer) -> Response:
        await client.get(there.url())
        return await client.get(there.url())

    _, there = exchange(answer(headers={"Set-Cookie": "a=1; Path=/"}), twice)
    assert [header(request, "Cookie") for request in there.requests] == [None, None]
    assert there.connections == 1  # kept alive


def test_proxies_and_netrc_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def run() -> tuple[Response, Response, Peer, Peer]:
        async with peer(answer(b"proxied")) as proxy, peer(answer(b"direct")) as there:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url())
                monkeypatch.setenv(name.lower(), proxy.url())
            netrc = tmp_path / "netrc"
            netrc.write_text("machine 127.0.0.1 login someone password secret\n")
            monkeypatch.setenv("NETRC", str(netrc))
            async with Client(LOOPBACK) as client:
                got = await client.get(there.url())
                posted = await client.post(there.url(), b"{}")
            return got, posted, there, proxy

    got, posted, there, proxy = asyncio.run(run())
    assert (got.body, posted.body) == (b"direct", b"direct")
    assert proxy.connections == 0
    assert [header(request, "Authorization") for request in there.requests] == [None, None]


def test_userinfo_becomes_basic_authentication_and_is_seen_nowhere_else() -> None:
    def ask(client: Client, there: Peer) -> Awaitable[Response]:
        return client.get(f"http://me:p%40ss@127.0.0.1:{there.port}/feed#top")

    response, there = exchange(answer(), ask)
    expected = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert header(there.requests[0], "Authorization") == expected
    assert path(there.requests[0]) == "/feed"
    assert response.url == there.url("/feed#top")
    assert response.final_url == there.url("/feed")
    assert "ss@" not in repr(response)


@pytest.mark.parametrize("url", ["http://me:secret@[/", "http://me:secret@host:port/"])
def test_userinfo_of_a_url_that_cannot_be_parsed_is_not_told(url: str) -> None:
    response, _ = exchange(answer(), lambda client, _: client.get(url))
    assert response.failure is Reason.INVALID_URL
    assert "secret" not in repr(response)


# URLs.


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "127.0.0.1",
        "//127.0.0.1/",
        "/path",
        "http:",
        "http://",
        "http:///path",
        "http://:80/",
        "http://[::1/",
        "http://[::1]x/",
        "http://a b/",
        "http://a%41/",
        "http://\x00/",
        "http://a..b/",
        "http://.a/",
        "http://\udce9.test/",
        "http://host.test:0/",
        "http://host.test:65536/",
        "http://host.test:http/",
        f"http://{'a' * 64}.test/",
        f"http://{'a.' * 130}test/",
        f"http://host.test/{'a' * 9000}",
        "http://1.2.3/",
        "http://1.2.3.4.5/",
        "http://256.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ws://127.0.0.1/",
    ],
)
def test_a_url_that_cannot_be_requested_is_no_exception(url: str) -> None:
    async def run() -> list[Response]:
        async with Client(LOOPBACK) as client:
            return [await client.get(url), await client.post(url, b"{}")]

    with recorded_connects() as connects:
        for response in asyncio.run(run()):
            assert response.failure is Reason.INVALID_URL
            assert (response.status, response.permanent) == (None, True)
            assert response.detail
    assert not connects


def test_an_international_host_is_looked_up_as_a_labels() -> None:
    async def run() -> Response:
        async with (
            peer(answer(b"hello")) as there,
            name_server({"xn--mnchen-3ya.test": [["127.0.0.1"]]}) as (_, resolver),
            Client(LOOPBACK, resolver=resolver) as client,
        ):
            return await client.get(f"http://MÜNCHEN.test:{there.port}/straße?q=ü")

    response = asyncio.run(run())
    assert response.body == b"hello"
    assert response.final_url.startswith("http://xn--mnchen-3ya.test:")
    assert response.final_url.endswith("/stra%C3%9Fe?q=%C3%BC")


def test_what_is_escaped_in_a_url_stays_escaped() -> None:
    escaped = "/a%2Fb/%3Fc/d?q=a%26b+c%20d&e=%3D&f=%25"
    _, there = exchange(answer(), lambda client, there: client.get(there.url(escaped)))
    assert path(there.requests[0]) == escaped


url_like = st.builds(
    "".join,
    st.lists(
        st.one_of(
            st.sampled_from(["http://", "https:", "//", "/", "@", ":", "[", "]", "%", "?", "#"]),
            st.sampled_from([".", "xn--", "127.0.0.1", "::1", "0x7f", "1", "a", "é", "。", "\\"]),
            st.text(max_size=3),
        ),
        max_size=8,
    ).map(lambda parts: ["http://", *parts]),
)


@hypothesis_settings(max_examples=150)
@given(url_like)
def test_no_text_whatever_makes_a_request_raise(url: str) -> None:
    async def run() -> Response:
        async with (
            name_server({}) as (_, resolver),
            Client(settings(), resolver=resolver) as client,
        ):
            return await client.get(url)

    with recorded_connects():  # to public literals there may be some, refused there
        assert asyncio.run(run()).error is not None


# Redirects.


def steps(request: bytes, writer: asyncio.StreamWriter) -> Awaitable[None]:
    """`/n` leads to `/n-1`, and `/0` is there."""
    left = int(path(request)[1:])
    handler = redirect(f"/{left - 1}", 301) if left else answer(b"arrived")
    return handler(request, writer)


def test_redirects_are_followed_hop_by_hop() -> None:
    response, there = exchange(steps, lambda client, there: client.get(there.url("/2")))
    assert (response.status, response.body) == (200, b"arrived")
    assert response.hops == (Hop(301, there.url("/2")), Hop(301, there.url("/1")))
    assert response.url == there.url("/2")
    assert response.final_url == there.url("/0")


@pytest.mark.parametrize("length", [10, 11, 30])
def test_a_chain_of_redirects_has_an_end(length: int) -> None:
    response, there = exchange(
        steps,
        lambda client, there: client.get(there.url(f"/{length}")),
        settings("127.0.0.0/8", max_redirects=10),
    )
    assert response.failure is (Reason.TOO_MANY_REDIRECTS if length > 10 else None)
    assert len(response.hops) == 10
    assert len(there.requests) == 11


def test_without_redirects_allowed_the_first_one_is_too_many() -> None:
    response, there = exchange(redirect("/"), having=settings("127.0.0.0/8", max_redirects=0))
    assert response.failure is Reason.TOO_MANY_REDIRECTS
    assert len(there.requests) == 1


def test_a_post_follows_no_redirect() -> None:
    for status in (301, 302, 303, 307, 308):
        response, there = exchange(redirect("/elsewhere", status), posting())
        assert (response.status, response.failure) == (status, None)
        assert (response.error, response.ok) == (Reason.REDIRECTED, False)
        assert response.headers["location"] == "/elsewhere"
        assert len(there.requests) == 1


@pytest.mark.parametrize("location", [None, ""])
def test_a_redirect_to_nowhere_is_an_answer(location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    response, _ = exchange(answer(b"", 302, headers))
    assert (response.status, response.failure) == (302, None)
    assert response.error is Reason.REDIRECTED


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "ftp://127.0.0.1/", "javascript:alert(1)", "http://a..b/"],
)
def test_a_redirect_that_cannot_be_followed_is_told(location: str) -> None:
    response, there = exchange(redirect(location))
    assert (response.failure, response.status) == (Reason.INVALID_URL, None)
    assert location in response.detail
    assert (response.final_url, response.hops) == (there.url(), (Hop(302, there.url()),))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("next", "/a/next"),
        ("../next?q=1#top", "/next?q=1"),
        ("//127.0.0.1:{port}/next", "/next"),
        ("HTTP://someone:secret@127.0.0.1:{port}/next", "/next"),
        ("/berita terkini/é".encode().decode("latin-1"), "/berita%20terkini/%C3%A9"),
    ],
)
def test_a_location_is_resolved_as_browsers_do(location: str, expected: str) -> None:
    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        there = redirect(location.replace("{port}", str(port)))
        await (there if path(request) == "/a/b" else answer())(request, writer)

    response, there = exchange(handler, lambda client, there: client.get(there.url("/a/b")))
    assert response.ok
    assert path(there.requests[-1]) == expected
    assert response.final_url == there.url(expected)
    assert header(there.requests[-1], "Authorization") is None


@pytest.mark.parametrize("escape", ["%2F", "%3F", "%20", "%01"])
def test_what_is_escaped_in_a_url_stays_escaped_over_hops(escape: str) -> None:
    # yarl's own join decodes it from the second hop on; `%01` could then not even be sent.
    response, there = exchange(redirect(f"{escape}/x"))
    assert response.failure is Reason.TOO_MANY_REDIRECTS
    assert path(there.requests[3]) == f"/{escape}/{escape}/{escape}/x"


def test_who_stays_on_a_host_is_told_where_it_would_go_on() -> None:
    async def run() -> tuple[Response, Peer, Peer]:
        async with peer(answer()) as other, Client(LOOPBACK) as client:

            async def first(request: bytes, writer: asyncio.StreamWriter) -> None:
                onward = "/again" if path(request) == "/" else other.url("/there#top")
                await redirect(onward, 301)(request, writer)

            async with peer(first) as there:
                return await client.get(there.url(), same_host=True), there, other

    response, there, other = asyncio.run(run())
    assert response.onward == other.url("/there")
    assert (response.failure, response.status, response.ok) == (Reason.REDIRECTED, None, False)
    assert response.final_url == there.url("/again")
    assert response.hops == (Hop(301, there.url("/")), Hop(301, there.url("/again")))
    assert other.requests == []


@pytest.mark.parametrize(
    "location", ["/next", "//127.0.0.1:{port}/next", "HTTP://someone:secret@127.0.0.1:{port}/next"]
)
def test_another_page_of_the_host_is_none_of_another(location: str) -> None:
    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        there = redirect(location.replace("{port}", str(port)))
        await (there if path(request) == "/" else answer(b"arrived"))(request, writer)

    response, _ = exchange(handler, lambda client, it: client.get(it.url(), same_host=True))
    assert (response.body, response.onward) == (b"arrived", None)


def test_credentials_do_not_cross_to_another_origin() -> None:
    secrets = {"Authorization": "Bearer x", "cookie": "a=1", "X-Api-Key": "sesame"}
    sent = {**secrets, "If-None-Match": '"1"'}

    async def run() -> tuple[Peer, Peer]:
        async with peer(answer()) as other, Client(LOOPBACK) as client:

            async def first(request: bytes, writer: asyncio.StreamWriter) -> None:
                onward = "/again" if path(request) == "/" else other.url()
                await redirect(onward)(request, writer)

            async with peer(first) as there:
                await client.get(there.url(), headers=sent)
        return there, other

    there, other = asyncio.run(run())
    seen = [
        [header(request, name) for name in sent] for request in (*there.requests, *other.requests)
    ]
    whole = ["Bearer x", "a=1", "sesame", '"1"']
    assert seen == [whole, whole, [None, None, None, '"1"']]


# Bodies.


@cache
def bomb(coding: str) -> bytes:
    """`BOMB_BYTES` zeros in less than 200 kB."""
    block = bytes(1_000_000)
    blocks = BOMB_BYTES // len(block)
    if coding == "br":
        brotli_packer = brotli.Compressor(quality=1)
        parts = [brotli_packer.process(block) for _ in range(blocks)]
        return b"".join([*parts, brotli_packer.finish()])
    if coding == "zstd":
        return zstandard.compress(block) * blocks
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    parts = [packer.compress(block) for _ in range(blocks)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_a_compressed_bomb_ends_at_the_cap(coding: str, framing: str) -> None:
    packed = bomb(coding)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n".encode()
    handler = {
        "length": raw(head, b"Content-Length: %d\r\n\r\n" % len(packed), packed),
        "chunks": raw(
            head,
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(packed),
            packed,
            b"\r\n0\r\n\r\n",
        ),
        "close": raw(head, b"\r\n", packed),
    }[framing]
    tracemalloc.start()
    response, _ = exchange(handler, getting(max_bytes=1_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (response.status, response.failure) == (200, Reason.TOO_LARGE)
    assert response.body == b""
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("coding", "start"),
    [
        ("gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"),  # then a file's name, without end
        ("zstd", b"\x50\x2a\x4d\x18\xff\xff\xff\xff"),  # a frame of 4 GB to be skipped
    ],
)
def test_a_body_that_decodes_to_nothing_has_an_end(coding: str, start: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    response, _ = exchange(drip(head + start, b"x" * 50_000), getting(max_bytes=200_000))
    assert response.failure is Reason.TOO_LARGE


@pytest.mark.parametrize("length_known", [True, False])
def test_a_body_of_2_gb_is_not_read_to_its_end(*, length_known: bool) -> None:
    written = 0

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        length = "Content-Length: 2000000000\r\n" if length_known else "Connection: close\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
        for _ in range(20_000):
            writer.write(bytes(100_000))
            await writer.drain()
            written += 100_000

    response, _ = exchange(handler)
    assert (response.status, response.failure) == (200, Reason.TOO_LARGE)
    assert response.permanent
    assert written < 50_000_000  # what fits into the buffers between the two


@pytest.mark.parametrize(("size", "failure"), [(1000, None), (1001, Reason.TOO_LARGE)])
@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n\r\n", b"X-Length: %d\r\n\r\n"])
def test_the_cap_is_exact(size: int, failure: Reason | None, framing: bytes) -> None:
    handler = raw(b"HTTP/1.1 200 OK\r\n", framing % size, b"x" * size)
    response, _ = exchange(handler, getting(max_bytes=1000))
    assert response.failure is failure
    assert len(response.body) == (0 if failure else size)


def test_a_posts_answer_is_cut_at_the_cap() -> None:
    response, _ = exchange(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000), posting())
    assert response.ok
    assert response.body == b"x" * 65_536


@pytest.mark.parametrize("coding", ["gzip, gzip", "compress", "gzip", "br", "zstd", "deflate"])
def test_a_body_that_cannot_be_decoded_is_a_failure(coding: str) -> None:
    response, _ = exchange(answer(b"abc", headers={"Content-Encoding": coding}))
    assert (response.failure, response.body) == (Reason.CONNECTION_LOST, b"")
    assert "body" in response.detail


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_breaks_off_within_its_coding_is_a_failure(coding: str) -> None:
    # Where nothing else shows it: without a length, the end of the connection is the body's.
    whole = packed(coding, b"the body " * 1000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    response, _ = exchange(raw(head, whole[:-2]))
    assert (response.failure, response.body) == (Reason.CONNECTION_LOST, b"")


def test_x_gzip_is_gzip() -> None:
    response, _ = exchange(answer(gzip.compress(b"abc"), headers={"Content-Encoding": "x-gzip"}))
    assert (response.failure, response.body) == (None, b"abc")


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"Content-Length: 50\r\n\r\nhello",
        b"Content-Length: 50000000\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_an_error_stands_whatever_its_body_is(rest: bytes) -> None:
    response, _ = exchange(raw(b"HTTP/1.1 429 Slower\r\nRetry-After: 7\r\n", rest))
    assert (response.error, response.headers["retry-after"]) == (Reason.RATE_LIMITED, "7")
    assert (response.failure, response.body) == (None, b"")


def test_an_error_stands_whatever_time_its_body_takes() -> None:
    handler = drip(b"HTTP/1.1 410 Gone\r\n\r\n", b"y")
    response, _ = exchange(handler, getting(timeout_seconds=0.3))
    assert (response.error, response.body) == (Reason.GONE, b"")


@pytest.mark.parametrize("coding", ["UTF-8", "identity", "none", ""])
def test_a_coding_that_is_none_leaves_the_body_as_it_is(coding: str) -> None:
    response, _ = exchange(answer(b"abc", headers={"Content-Encoding": coding}))
    assert (response.failure, response.body) == (None, b"abc")


# Deadlines.

SLOW = {
    "silent": stall(),
    "half a status line": stall(b"HTTP/1.1 2"),
    "dripped headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a dripped header": drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "continued for ever": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "redirected for ever": drip(b"HTTP/1.1 302 Found\r\nX: ", b"y"),
}
SLOW_BODIES = {
    "dripped body": drip(b"HTTP/1.1 200 OK\r\n\r\n", b"y"),
    "dripped chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n"),
    "stalled body": stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nyy"),
    "stalled gzip": stall(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 999\r\n\r\n",
        gzip.compress(b"y" * 1000)[:12],
    ),
}


@pytest.mark.parametrize("handler", [*SLOW.values(), *SLOW_BODIES.values()])
def test_a_get_ends_at_its_deadline(handler: Handler) -> None:
    response, _ = exchange(handler, getting(timeout_seconds=0.3))
    assert (response.failure, response.body) == (Reason.TIMEOUT, b"")
    assert response.elapsed_seconds >= 0.3


def test_the_deadline_is_one_for_all_hops() -> None:
    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await redirect("/")(request, writer)

    response, _ = exchange(
        handler,
        getting(timeout_seconds=0.4),
        settings("127.0.0.0/8", max_redirects=30),
    )
    assert response.failure is Reason.TIMEOUT
    assert 0 < len(response.hops) <= 8


def test_the_deadline_comes_from_the_settings() -> None:
    response, _ = exchange(stall(), having=settings("127.0.0.0/8", timeout_seconds=0.2))
    assert response.failure is Reason.TIMEOUT


@pytest.mark.parametrize("handler", SLOW.values())
def test_a_post_without_a_status_ends_at_its_deadline(handler: Handler) -> None:
    response, _ = exchange(handler, posting(timeout_seconds=0.3))
    assert (response.failure, response.status) == (Reason.TIMEOUT, None)


@pytest.mark.parametrize("handler", SLOW_BODIES.values())
def test_a_post_whose_answer_stalls_after_the_status_has_its_answer(handler: Handler) -> None:
    response, _ = exchange(handler, posting(timeout_seconds=0.3))
    assert (response.failure, response.status, response.ok) == (None, 200, True)
    assert response.body  # what came of it


def test_a_post_whose_answer_breaks_off_after_the_status_has_its_answer() -> None:
    handler = raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\nRetry-After: 7\r\n\r\nyy")
    response, _ = exchange(handler, posting())
    assert (response.failure, response.error) == (None, Reason.SERVER_ERROR)
    assert (response.body, response.headers["retry-after"]) == (b"yy", "7")


def test_hanging_hosts_do_not_delay_the_others() -> None:
    async def run() -> Response:
        async with (
            peer(stall()) as hanging,
            peer(answer(b"hello")) as there,
            Client(LOOPBACK) as client,
        ):
            waiting = [
                asyncio.create_task(client.post(hanging.url(), b"{}", timeout_seconds=60))
                for _ in range(150)
            ]
            async with asyncio.timeout(30):
                while hanging.connections < len(waiting):
                    await asyncio.sleep(0.01)
            good = await client.post(there.url(), b"{}", timeout_seconds=30)
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            return good

    assert asyncio.run(run()).ok


def test_gets_of_one_host_go_a_few_at_a_time() -> None:
    now = most = 0

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        await answer()(request, writer)

    async def many(client: Client, there: Peer) -> Response:
        responses = await asyncio.gather(*(client.get(there.url()) for _ in range(30)))
        assert all(response.ok for response in responses)
        return responses[0]

    exchange(handler, many)
    assert most == 6


# Peers that do not speak HTTP, or not well.


@pytest.mark.parametrize(
    "handler",
    [
        raw(),
        raw(b"\x00\xff\x01garbage\r\n\r\n"),
        raw(b"220 mail.test ESMTP\r\n"),
        raw(b"<html>no status line</html>"),
        raw(b"HTTP/1.1 OK 200\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"),
        raw(b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n", *(b"X-%d: y\r\n" % n for n in range(5000)), b"\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello"),
        half_closed(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
        half_closed(b"HTTP/1.1 200 OK\r\nContent-Le"),
        half_closed(),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
    ],
)
def test_an_answer_that_is_broken_is_a_lost_connection(handler: Handler) -> None:
    response, _ = exchange(handler)
    assert (response.failure, response.body) == (Reason.CONNECTION_LOST, b"")
    assert response.detail
    assert not response.permanent


@hypothesis_settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"HTTP/1.1 200 OK\r\n",
                    b"HTTP/1.0 302 Found\r\nLocation: ",
                    b"HTTP/1.1 304 Not Modified\r\n",
                    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n",
                    b"Content-Length: 5\r\n",
                    b"Content-Encoding: gzip\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Set-Cookie: a=1\r\n",
                    b"\r\n",
                    b"5\r\nhello\r\n",
                    b"0\r\n\r\n",
                ]
            ),
            st.binary(max_size=8),
        ),
        max_size=8,
    )
)
def test_no_bytes_whatever_make_a_request_raise(parts: list[bytes]) -> None:
    async def run() -> None:
        async with (
            peer(raw(*parts)) as there,
            name_server({}) as (_, resolver),
            Client(LOOPBACK, resolver=resolver) as client,
        ):
            assert isinstance(await client.get(there.url(), timeout_seconds=2), Response)
            assert isinstance(await client.post(there.url(), b"{}", timeout_seconds=2), Response)

    with recorded_connects():
        asyncio.run(run())


def test_headers_that_are_not_utf8_can_be_stored_and_are_not_sent_back() -> None:
    response, _ = exchange(raw(b'HTTP/1.1 200 \xff\r\nETag: "\xe9"\r\nContent-Length: 0\r\n\r\n'))
    assert response.ok
    assert response.headers["etag"].encode() == b'"\xef\xbf\xbd"'
    assert response.detail.encode()
    assert response.etag is None


def test_a_closed_port_is_a_failed_connection(free_port: int) -> None:
    async def run() -> Response:
        async with Client(LOOPBACK) as client:
            return await client.get(f"http://127.0.0.1:{free_port}/")

    response = asyncio.run(run())
    assert (response.failure, response.status) == (Reason.CONNECT_FAILED, None)
    assert str(free_port) in response.detail


def test_a_connection_that_is_not_made_in_time_is_a_failed_connection() -> None:
    # A TLS handshake belongs to the connection; this peer never answers it.
    async def run() -> Response:
        having = settings("127.0.0.0/8", connect_timeout_seconds=0.2)
        async with Client(having) as client, peer(stall()) as there:
            return await client.get(f"https://127.0.0.1:{there.port}/secret-path")

    response = asyncio.run(run())
    assert response.failure is Reason.CONNECT_FAILED
    assert "secret-path" not in response.detail


# TLS.


def own_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent() -> None:
    for ask in (getting(), posting()):
        response, there = exchange(answer(b"hello"), ask, tls=own_certificate())
        assert (response.failure, response.status) == (Reason.TLS_FAILED, None)
        assert "self-signed" in response.detail
        assert not there.requests


def test_a_peer_without_tls_is_refused() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> Response:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with server, Client(LOOPBACK) as client:
            return await client.get(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert asyncio.run(run()).failure is Reason.TLS_FAILED


TRUSTED = """
import asyncio
from tests.http.peers import LOOPBACK, answer, peer, redirect
from tests.http.test_client import own_certificate
from worker.http import Client
from worker.reasons import Reason

async def main():
    async with (
        peer(answer(b"plain")) as plain,
        peer(redirect(plain.url()), tls=own_certificate()) as there,
        Client(LOOPBACK) as client,
    ):
        named = await client.get(f"https://localhost:{there.port}/")
        assert named.body == b"plain", named
        assert [hop.url for hop in named.hops] == [f"https://localhost:{there.port}/"], named
        assert named.final_url == plain.url(), named
        posted = await client.post(f"https://localhost:{there.port}/", b"{}")
        assert posted.status == 302, posted
        wrong = await client.get(there.url())
        assert wrong.failure is Reason.TLS_FAILED, wrong
        assert "mismatch" in wrong.detail, wrong

asyncio.run(main())
"""


def test_a_trusted_certificate_is_good_for_its_own_name_only() -> None:
    # In a process of its own: what is trusted is read when aiohttp is imported.
    environment = {**os.environ, "SSL_CERT_FILE": str(CERTIFICATE), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", TRUSTED],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_without_verification_anybody_is_believed_for_one_request_only() -> None:
    async def ask(client: Client, there: Peer) -> Response:
        unverified = await client.get(there.url(), verify_tls=False)
        assert (unverified.failure, unverified.body) == (None, b"hello")
        assert len(there.requests) == there.connections == 1
        verified = await client.get(there.url())
        assert len(there.requests) == 1  # nor was the connection used that is still open
        assert (await client.get(there.url(), verify_tls=False)).ok
        return verified

    verified, there = exchange(answer(b"hello"), ask, tls=own_certificate())
    assert verified.failure is Reason.TLS_FAILED
    assert (len(there.requests), there.connections) == (2, 1)


# What is ours to raise.


def test_a_cancelled_request_is_cancelled() -> None:
    async def run() -> None:
        async with peer(stall()) as there, Client(LOOPBACK) as client:
            for request in (client.get(there.url()), client.post(there.url(), b"{}")):
                task = asyncio.create_task(request)
                while not there.requests:
                    await asyncio.sleep(0.01)
                there.requests.clear()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(run())


def test_a_deadline_of_the_caller_is_the_callers() -> None:
    async def run() -> None:
        async with peer(stall()) as there, Client(LOOPBACK) as client:
            async with asyncio.timeout(0.1):
                await client.get(there.url())

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_a_header_that_cannot_be_sent_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="control character"):
        exchange(answer(), getting(headers={"X": "a\r\nY: b"}))


def test_nothing_is_left_running_behind(recwarn: pytest.WarningsRecorder) -> None:
    async def run() -> int:
        async with peer(stall()) as there, Client(LOOPBACK) as client:
            await client.get(there.url(), timeout_seconds=0.1)
            await client.post(there.url(), b"{}", timeout_seconds=0.1)
            await client.get("http://localhost:1/")
        return len(asyncio.all_tasks())

    before = open_files()
    for _ in range(5):
        assert asyncio.run(run()) == 1
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]
    # Those of the last name look-ups are closed by a thread, soon.
    until(lambda: open_files() <= before + 1, "no more open files than before")


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))
