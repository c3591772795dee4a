"""The address guard, judged by what is connected to, not by what is said."""

import asyncio
from ipaddress import ip_network

import aiohttp
import pytest

from tests.http.peers import (
    LOOPBACK,
    answer,
    has_ipv6,
    name_server,
    peer,
    recorded_connects,
    redirect,
    settings,
)
from worker.http import Client, Response
from worker.http import guard as guard_module
from worker.http.guard import AddressDeniedError, Guard
from worker.reasons import Reason

DENIED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:168.63.129.16",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a83f:8110",
    "64:ff9b:1::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "192.0.0.9",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
]
OTHER_FORMS = [  # of denied addresses, as URLs know them
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://127.0.0.1./",
    "http://①②⑦.0.0.1/",
    "http://127。0。0。1/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%25lo]/",
    "http://public.test@127.0.0.1/",
    "http://127.0.0.1#@public.test/",
    "http://public.test\\@127.0.0.1/",
    "http://127.0.0.1:22/",
    "https://169.254.169.254/latest/meta-data/",
    "http://localhost/",
    "http://LOCALHOST/",
]
REFUSED = {Reason.ADDRESS_DENIED, Reason.INVALID_URL}


def literal(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


@pytest.mark.parametrize("url", [*map(literal, DENIED), *OTHER_FORMS])
def test_nothing_is_connected_at_a_denied_address(url: str) -> None:
    async def ask() -> tuple[Response, Response]:
        async with Client(settings()) as client:
            return await client.get(url), await client.post(url, b"{}")

    with recorded_connects() as connects:
        for response in asyncio.run(ask()):
            assert response.failure in REFUSED
            assert response.detail
    assert not connects


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    async def ask() -> Response:
        async with Client(settings()) as client:
            return await client.get(literal(address))

    with recorded_connects() as connects:  # which refuses them, so that nothing leaves here
        assert asyncio.run(ask()).failure is Reason.CONNECT_FAILED
    assert len(connects) == 1


def test_allowed_networks_cover_mapped_addresses_but_not_translated_ones() -> None:
    guard = Guard((ip_network("127.0.0.0/8"),))
    guard.check("127.0.0.1")
    guard.check("::ffff:127.0.0.1")
    for address in ("64:ff9b::7f00:1", "2002:7f00:1::", "::1", "10.0.0.1"):
        with pytest.raises(AddressDeniedError):
            guard.check(address)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_a_mapped_address_of_an_allowed_network_is_connected() -> None:
    async def ask() -> Response:
        async with peer(answer(b"hello")) as there, Client(settings("127.0.0.0/8")) as client:
            return await client.get(f"http://[::ffff:127.0.0.1]:{there.port}/")

    assert asyncio.run(ask()).body == b"hello"


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "::1",
        "fd12:3456::1",
        "::ffff:10.1.2.3",
        "8.8.8.8",
    ],
)
def test_allow_private_allows_private_addresses(address: str) -> None:
    Guard(allow_private=True).check(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fd00:ec2::254",
        "fe80::1",
        "224.0.0.1",
    ],
)
def test_allow_private_allows_neither_link_local_nor_metadata(address: str) -> None:
    async def ask() -> Response:
        async with Client(settings()) as client:
            return await client.post(literal(address), b"{}", allow_private=True)

    with recorded_connects() as connects:
        assert asyncio.run(ask()).failure is Reason.ADDRESS_DENIED
    assert not connects


def test_allow_private_holds_for_its_own_call_only() -> None:
    async def ask() -> tuple[list[Response], int]:
        async with peer(answer(b"hello")) as there, Client(settings()) as client:
            return [
                await client.post(there.url(), b"{}"),
                await client.post(there.url(), b"{}", allow_private=True),
                await client.post(there.url(), b"{}", allow_private=True),
                await client.post(there.url(), b"{}"),
                await client.get(there.url()),
            ], there.connections

    responses, connections = asyncio.run(ask())
    denied = Reason.ADDRESS_DENIED
    assert [response.failure for response in responses] == [denied, None, None, denied, denied]
    assert connections == 1  # kept alive between the two that may, and of no use to the others


def test_a_server_that_the_user_named_may_be_read_at_a_private_address() -> None:
    async def ask() -> tuple[list[Response], int]:
        async with peer(answer(b"hello")) as there, Client(settings()) as client:
            return [
                await client.get(there.url(), allow_private=True),
                await client.get(there.url()),
                await client.get(literal("169.254.169.254"), allow_private=True),
            ], there.connections

    responses, connections = asyncio.run(ask())
    denied = Reason.ADDRESS_DENIED
    assert [response.failure for response in responses] == [None, denied, denied]
    assert connections == 1


async def resolved(answers: list[list[str]], *allowed: str) -> tuple[Response, int]:
    """GET of a host whose name has `answers`, and how often its name was asked for."""
    async with (
        name_server({"host.test": answers}) as (server, resolver),
        Client(settings(*allowed), resolver=resolver) as client,
    ):
        return await client.get("http://host.test:9/"), server.asked["host.test"]


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["127.0.0.2"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["fe80::1"],
        ["8.8.8.8", "10.0.0.1"],
        ["10.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "fd00::1"],
        ["2606:4700:4700::1111", "127.0.0.2"],
        ["127.0.0.1", "127.0.0.2"],
    ],
)
def test_a_name_with_any_denied_address_is_refused(addresses: list[str]) -> None:
    with recorded_connects() as connects:
        response, asked = asyncio.run(resolved([addresses], "127.0.0.1/32"))
    assert asked == 1
    assert response.failure is Reason.ADDRESS_DENIED
    assert not connects


def test_a_name_with_allowed_addresses_only_is_connected() -> None:
    with recorded_connects() as connects:
        response, _ = asyncio.run(
            resolved([["127.0.0.1", "127.0.0.3"]], "127.0.0.1/32", "127.0.0.3/32")
        )
    assert response.failure is Reason.CONNECT_FAILED  # nobody listens on that port
    assert set(connects) == {"127.0.0.1", "127.0.0.3"}


def test_a_name_that_is_rebound_after_it_was_good_is_refused() -> None:
    async def ask_twice() -> list[Response]:
        responses = []
        answers = {"host.test": [["127.0.0.1"], ["127.0.0.2"]]}
        async with name_server(answers) as (_, resolver):
            for _ in range(2):
                async with Client(settings("127.0.0.1/32"), resolver=resolver) as client:
                    responses.append(await client.get("http://host.test:9/"))
        return responses

    with recorded_connects() as connects:
        responses = asyncio.run(ask_twice())
    assert [response.failure for response in responses] == [
        Reason.CONNECT_FAILED,
        Reason.ADDRESS_DENIED,
    ]
    assert set(connects) == {"127.0.0.1"}


def test_one_request_looks_a_name_up_once() -> None:
    # A second look-up between the check and the connection is where rebinding lives.
    with recorded_connects() as connects:
        _, asked = asyncio.run(resolved([["127.0.0.1"], ["127.0.0.2"]], "127.0.0.1/32"))
    assert asked == 1
    assert set(connects) == {"127.0.0.1"}


def test_the_check_stands_at_the_connection_itself() -> None:
    """An answer that no resolver judged, as from a cache, gets no socket."""

    async def ask() -> None:
        async with name_server({"host.test": [["127.0.0.2"]]}) as (_, resolver):
            connector = aiohttp.TCPConnector(resolver=resolver, socket_factory=Guard().socket)
            async with aiohttp.ClientSession(connector=connector) as session:
                await session.get("http://host.test:9/")

    with recorded_connects() as connects, pytest.raises(aiohttp.ClientConnectorError) as raised:
        asyncio.run(ask())
    assert isinstance(raised.value.os_error, AddressDeniedError)
    assert not connects


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[fd00:ec2::254]/",
        "http://2852039166/",
        "//169.254.169.254/",
    ],
)
def test_a_redirect_to_a_denied_address_is_refused(location: str) -> None:
    async def ask() -> Response:
        async with peer(redirect(location)) as there, Client(settings("127.0.0.0/8")) as client:
            return await client.get(there.url())

    with recorded_connects() as connects:
        response = asyncio.run(ask())
    assert response.failure in REFUSED
    assert [hop.status for hop in response.hops] == [302]
    assert set(connects) == {"127.0.0.1"}


def test_names_of_the_hosts_file_are_known() -> None:
    async def ask() -> Response:
        async with peer(answer(b"hello")) as there, Client(LOOPBACK) as client:
            return await client.get(f"http://localhost:{there.port}/")

    assert asyncio.run(ask()).body == b"hello"


def test_a_name_that_does_not_exist_is_asked_for_once_a_client() -> None:
    response, asked = asyncio.run(asked_twice(silent=False))
    assert response.failure is Reason.DNS_FAILED
    assert "gone.test" in response.detail
    assert asked == 1


def test_a_name_server_that_is_silent_has_a_limit_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_RESOLVE_SECONDS", 0.2)
    response, _ = asyncio.run(asked_twice(silent=True))
    assert response.failure is Reason.DNS_FAILED
    assert response.detail == "gone.test was not resolved within 0.2 s"


async def asked_twice(*, silent: bool) -> tuple[Response, int]:
    """Several requests for one name, then one more, which asks nobody: its outcome."""
    async with (
        name_server({}, frozenset({"gone.test"} if silent else ())) as (server, resolver),
        Client(settings(), resolver=resolver) as client,
    ):
        first = await asyncio.gather(*(client.get(f"http://gone.test/{n}") for n in range(5)))
        assert {response.failure for response in first} == {Reason.DNS_FAILED}
        before = server.asked["gone.test"]
        response = await client.get("http://gone.test:8080/")
        assert server.asked["gone.test"] == before
        return response, before
