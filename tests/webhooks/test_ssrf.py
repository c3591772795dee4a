"""Endpoints at addresses that must not be connected to, judged by what is connected to."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from tests.cli.conftest import _own_directory, kabar, store  # noqa: F401 - fixtures
from tests.cli.running import Commands
from tests.http.peers import name_server, peer, recorded_connects, redirect, settings
from tests.webhooks.test_deliver import SECRET, SETTINGS, delivery
from worker.http import Client, Response
from worker.reasons import Reason
from worker.webhooks import Endpoint, send

URLS = {
    "private, 10/8": "http://10.0.0.1/",
    "private, 172.16/12": "http://172.31.255.255/",
    "private, 192.168/16": "http://192.168.1.1/",
    "loopback": "http://127.0.0.1/",
    "loopback, its other end": "https://127.255.255.254:8443/hook",
    "this host": "http://0.0.0.0/",
    "link-local": "http://169.254.0.1/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "shared, 100.64/10": "http://100.100.100.200/",
    "documentation": "http://192.0.2.1/",
    "benchmarks": "http://198.18.0.1/",
    "multicast": "http://224.0.0.1/",
    "reserved, 240/4": "http://240.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "Azure's host": "http://168.63.129.16/",
    "decimal": "http://2130706433/",
    "hexadecimal": "http://0x7f000001/",
    "octal": "http://0177.0.0.1/",
    "short": "http://127.1/",
    "a dot of another script": "http://127。0。0。1/",
    "v6 loopback": "http://[::1]/",
    "v6 of no host": "http://[::]/",
    "v4-mapped": "http://[::ffff:169.254.169.254]/",
    "v4-compatible": "http://[::127.0.0.1]/",
    "NAT64": "http://[64:ff9b::a9fe:a9fe]/",
    "NAT64, local": "http://[64:ff9b:1::1]/",
    "6to4": "http://[2002:7f00:1::]/",
    "v6 site-local": "http://[fec0::1]/",
    "v6 unique local": "http://[fc00::1]/",
    "v6 metadata": "http://[fd00:ec2::254]/",
    "v6 link-local": "http://[fe80::1]/",
    "userinfo that looks like a host": "http://hooks.example@127.0.0.1/",
    "a name of loopback": "http://localhost./",
}
REFUSED = {Reason.ADDRESS_DENIED, Reason.INVALID_URL, Reason.DNS_FAILED}


def test_there_are_33() -> None:
    assert len(set(URLS.values())) == 33


async def post(client: Client, url: str) -> Response:
    endpoint = Endpoint(1, "hook", url, SECRET, allow_private=False, allow_http=True)
    came = await send(client, endpoint, delivery(), datetime.now(UTC), SETTINGS)
    assert came is not None
    return came


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_nothing_is_connected_when_sending(url: str) -> None:
    async def run() -> Response:
        async with Client(settings()) as client:
            return await post(client, url)

    with recorded_connects() as connects:
        came = asyncio.run(run())
    assert not connects
    assert came.failure in REFUSED


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_nothing_is_connected_when_an_endpoint_is_made(
    kabar: Commands,  # noqa: F811
    store: Engine,  # noqa: F811
    url: str,
) -> None:
    with recorded_connects() as connects:
        made = kabar("endpoints", "add", "hook", url, "--allow-http")
        tried = kabar("endpoints", "test", "hook")
    assert not connects
    assert (made.code, tried.code) in {(0, 1), (1, 1)}


@pytest.mark.parametrize(
    "addresses",
    [
        ["169.254.169.254"],
        ["168.63.129.16"],
        ["fd00:ec2::254"],
        ["::1"],
        ["8.8.8.8", "10.0.0.1"],
        ["2606:4700:4700::1111", "127.0.0.2"],
    ],
    ids=" and ".join,
)
def test_a_name_with_any_denied_address(addresses: list[str]) -> None:
    with recorded_connects() as connects:
        (came,) = asyncio.run(post_to_name([addresses]))
    assert not connects
    assert came.failure is Reason.ADDRESS_DENIED


def test_a_name_that_is_rebound() -> None:
    """It is at an allowed address for the first delivery, and no more for the second."""
    with recorded_connects() as connects:
        first, second = asyncio.run(post_to_name([["127.0.0.1"], ["127.0.0.2"]], "127.0.0.1/32"))
    assert set(connects) == {"127.0.0.1"}
    assert first.failure is Reason.CONNECT_FAILED, "nobody listens there"
    assert second.failure is Reason.ADDRESS_DENIED


async def post_to_name(answers: Sequence[Sequence[str]], *allowed: str) -> list[Response]:
    """A delivery to a name for each of the answers that its name server gives."""
    came = []
    async with name_server({"hooks.test": answers}) as (_, resolver):
        for _ in answers:
            async with Client(settings(*allowed), resolver=resolver) as client:
                came.append(await post(client, "http://hooks.test:9/"))
    return came


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", ["http://169.254.169.254/", "http://127.0.0.2:9/", "//[::1]/"])
def test_a_redirect(location: str, status: int) -> None:
    async def run() -> Response:
        async with (
            peer(redirect(location, status)) as there,
            Client(settings("127.0.0.1/32")) as client,
        ):
            return await post(client, there.url())

    with recorded_connects() as connects:
        came = asyncio.run(run())
    assert set(connects) == {"127.0.0.1"}
    assert (came.status, came.error) == (status, Reason.REDIRECTED)
