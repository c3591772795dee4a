"""A proxy that one request names: what it is told, what the target is told, and what is refused."""

import asyncio
import base64
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from tests.http.peers import (
    Handler,
    Peer,
    answer,
    header,
    http_proxy,
    peer,
    raw,
    recorded_connects,
    redirect,
    settings,
)
from tests.http.test_client import own_certificate
from worker.http import Client, Response
from worker.reasons import Reason

SECRET = "Basic " + base64.b64encode(b"me:p@ss").decode()


def by_proxy(
    handler: Handler,
    url: Callable[[Peer], str] = lambda there: f"http://feeds.test:{there.port}/feed",
    *,
    tls: bool = False,
    **options: object,
) -> tuple[Response, Peer, Peer]:
    """What comes back over a proxy from a peer; the proxy and the peer.

    Nothing is allowed but what the naming of the proxy allows.
    """

    async def run() -> tuple[Response, Peer, Peer]:
        async with AsyncExitStack() as stack:
            there = await stack.enter_async_context(
                peer(handler, tls=own_certificate() if tls else None)
            )
            proxy = await stack.enter_async_context(http_proxy())
            client = await stack.enter_async_context(Client(settings()))
            response = await client.get(
                url(there),
                proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}",
                **options,  # type: ignore[arg-type]
            )
            return response, proxy, there

    return asyncio.run(run())


def test_a_request_goes_to_the_proxy_with_the_proxys_credentials() -> None:
    response, proxy, there = by_proxy(answer(b"hello"), headers={"Cookie": "a=1"})
    assert (response.failure, response.body) == (None, b"hello")
    (request,) = proxy.requests
    assert request.startswith(b"GET http://feeds.test:%d/feed HTTP/1.1\r\n" % there.port)
    assert header(request, "Proxy-Authorization") == SECRET
    assert header(there.requests[0], "Cookie") == "a=1"
    assert header(there.requests[0], "Host") == f"feeds.test:{there.port}"


def test_through_a_tunnel_the_target_sees_nothing_of_the_proxys_credentials() -> None:
    response, proxy, there = by_proxy(
        answer(b"hello"),
        lambda there: f"https://feeds.test:{there.port}/feed",
        tls=True,
        verify_tls=False,
        headers={"Authorization": "Bearer x"},
    )
    assert (response.failure, response.body) == (None, b"hello")
    (connect,), (request,) = proxy.requests, there.requests
    assert connect.startswith(b"CONNECT feeds.test:%d HTTP/1.1\r\n" % there.port)
    assert header(connect, "Proxy-Authorization") == SECRET
    assert header(connect, "Authorization") is None
    assert header(request, "Proxy-Authorization") is None
    assert header(request, "Authorization") == "Bearer x"


def test_a_certificate_is_verified_through_a_tunnel() -> None:
    response, _, there = by_proxy(
        answer(), lambda there: f"https://feeds.test:{there.port}/", tls=True
    )
    assert response.failure is Reason.TLS_FAILED
    assert not there.requests


def test_hops_go_over_the_proxy_too() -> None:
    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        onward = redirect(f"http://other.test:{port}/there", 301)
        is_first = header(request, "Host") == f"feeds.test:{port}"
        await (onward if is_first else answer(b"arrived"))(request, writer)

    response, proxy, there = by_proxy(handler, headers={"Cookie": "a=1"})
    assert response.body == b"arrived"
    assert response.moved_to == f"http://other.test:{there.port}/there"
    assert [header(request, "Proxy-Authorization") for request in proxy.requests] == [SECRET] * 2
    assert [header(request, "Cookie") for request in there.requests] == ["a=1", None]


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "https://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://a.localhost/",
    ],
)
def test_a_target_that_is_denied_is_never_told_to_the_proxy(target: str) -> None:
    direct, proxy, _ = by_proxy(answer(), lambda _: target)
    assert direct.failure is Reason.ADDRESS_DENIED
    assert not proxy.requests
    redirected, proxy, _ = by_proxy(redirect(target))
    assert redirected.failure is Reason.ADDRESS_DENIED
    assert len(redirected.hops) == len(proxy.requests) == 1


@pytest.mark.parametrize("proxy", ["http://169.254.169.254/", "http://[fe80::1]:3128"])
def test_a_proxy_is_never_at_a_link_local_address(proxy: str) -> None:
    async def run() -> Response:
        async with Client(settings()) as client:
            return await client.get("http://feeds.test/", proxy=proxy)

    with recorded_connects() as connects:
        assert asyncio.run(run()).failure is Reason.ADDRESS_DENIED
    assert not connects


def test_a_connection_to_the_proxy_is_of_no_use_without_it() -> None:
    """What the proxy's address is allowed, a request of another kind is not."""

    async def run() -> Response:
        async with peer(answer()) as proxy, Client(settings()) as client:
            by = await client.get(f"http://127.0.0.1.test:{proxy.port}/", proxy=proxy.url())
            assert by.ok
            return await client.get(proxy.url())

    assert asyncio.run(run()).failure is Reason.ADDRESS_DENIED


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:hun/ter2@127.0.0.1:3128",
        "http://me:hun#ter2@127.0.0.1:3128",
        "http://me:hunter2@[::1",
        "https://me:hunter2@127.0.0.1:3128",
        "socks5://me:hunter2@127.0.0.1",
        "http://me:hunter2@127.0.0.1:3128/path",
        "me:hunter2@127.0.0.1:3128",
        "",
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_without_its_secret(proxy: str) -> None:
    async def run() -> Response:
        async with Client(settings()) as client:
            return await client.get("http://feeds.test/", proxy=proxy)

    response = asyncio.run(run())
    assert (response.failure, response.status) == (Reason.INVALID_URL, None)
    assert "proxy" in response.detail
    assert "hun" not in repr(response)


REFUSALS = {
    "no credentials": raw(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n"),
    "no such host": raw(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
    "not HTTP": raw(b"SOCKS\r\n\r\n"),
    "gone": raw(),
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_proxy_that_refuses_is_an_error_without_its_secret(
    scheme: str, refusal: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> Response:
        async with peer(refusal) as proxy, Client(settings()) as client:
            return await client.get(
                f"{scheme}://feeds.test/", proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}"
            )

    response = asyncio.run(run())
    assert response.error is not None
    if refusal is REFUSALS["no credentials"]:
        assert response.failure is Reason.CONNECT_FAILED
        assert "proxy" in response.detail
    for told in (repr(response), caplog.text):
        assert "ss@" not in told
        assert SECRET not in told


def test_a_proxy_that_is_not_there(free_port: int) -> None:
    async def run() -> Response:
        async with Client(settings()) as client:
            return await client.get(
                "http://feeds.test/", proxy=f"http://me:hunter2@127.0.0.1:{free_port}"
            )

    response = asyncio.run(run())
    assert response.failure is Reason.CONNECT_FAILED
    assert str(free_port) in response.detail
    assert "hunter2" not in repr(response)
