"""A client that lives as long as its process: what it keeps, for how long, and how it ends."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.http.peers import (
    LOOPBACK,
    NameServer,
    Peer,
    answer,
    header,
    name_server,
    peer,
    settings,
    stall,
)
from worker.http import Client, Response
from worker.http import client as client_module
from worker.http import guard as guard_module
from worker.http.guard import Names, RenewedResolver
from worker.reasons import Reason


async def comes(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, at most for half a minute."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


# Names.


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def fails(names: Names, host: str) -> str:
    with pytest.raises(OSError, match="was not resolved") as raised:
        await names.look_up(host, 80, socket.AF_INET)
    return str(raised.value)


def test_a_failed_name_is_remembered_for_its_time() -> None:
    async def run() -> None:
        known: dict[str, list[list[str]]] = {}
        async with name_server(known) as (server, resolver):
            clock = Clock()
            names = Names(resolver, 300, clock=clock)
            why = await fails(names, "late.test")
            asked = server.asked["late.test"]
            known["late.test"] = [["127.0.0.1"]]
            clock.now += 299
            assert await fails(names, "late.test") == why
            assert server.asked["late.test"] == asked
            clock.now += 1
            (found,) = await names.look_up("late.test", 80, socket.AF_INET)
            assert found["host"] == "127.0.0.1"

    asyncio.run(run())


def test_the_memory_of_failed_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "_MOST_FAILED_NAMES", 10)

    async def run() -> None:
        async with name_server({}) as (server, resolver):
            names = Names(resolver, 300)
            for n in range(30):
                await fails(names, f"gone{n}.test")
            assert len(names._failed) == 10
            before = server.asked.copy()
            await fails(names, "gone29.test")  # the last ones are remembered
            await fails(names, "gone20.test")
            assert server.asked == before
            await fails(names, "gone0.test")
            assert server.asked["gone0.test"] > before["gone0.test"]

    asyncio.run(run())


def test_a_receivers_name_is_tried_again_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_RECEIVER_FAILED_SECONDS", 0.0)

    async def run() -> NameServer:
        async with (
            name_server({}) as (server, resolver),
            Client(settings(), resolver=resolver) as client,
        ):
            for _ in range(2):
                assert (await client.get("http://site.test/")).failure is Reason.DNS_FAILED
                posted = await client.post("http://receiver.test/", b"{}")
                assert posted.failure is Reason.DNS_FAILED
            return server

    asked = asyncio.run(run()).asked
    assert asked["receiver.test"] == 2 * asked["site.test"]


def test_dead_names_do_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "_RESOLVE_SECONDS", 60.0)
    dead = [f"dead{n}.test" for n in range(100)]

    async def run() -> None:
        async with (
            name_server({"good.test": [["127.0.0.1"]]}, frozenset(dead)) as (server, resolver),
            peer(answer(b"hello")) as there,
            Client(LOOPBACK, resolver=resolver) as client,
        ):
            waiting = [asyncio.create_task(client.get(f"http://{name}/")) for name in dead]
            await comes(lambda: all(server.asked[name] for name in dead))
            good = await client.get(f"http://good.test:{there.port}/")
            assert good.ok
            assert not any(task.done() for task in waiting)

    asyncio.run(run())


def test_a_site_that_moved_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_NAMES_KEPT_SECONDS", 0)

    async def closing(request: bytes, writer: asyncio.StreamWriter) -> None:
        await answer(writer.get_extra_info("sockname")[0].encode())(request, writer)
        writer.close()

    async def run() -> list[bytes]:
        async with (
            name_server({"host.test": [["127.0.0.1"], ["127.0.0.2"]]}) as (_, resolver),
            peer(closing) as old,
            peer(closing, host="127.0.0.2", port=old.port),
            Client(LOOPBACK, resolver=resolver) as client,
        ):
            url = f"http://host.test:{old.port}/"
            return [(await client.get(url)).body for _ in range(2)]

    assert asyncio.run(run()) == [b"127.0.0.1", b"127.0.0.2"]


class Slow(AbstractResolver):
    """Answers when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.is_closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await self.let.wait()
        assert not self.is_closed
        return []

    async def close(self) -> None:
        self.is_closed = True


def test_a_channel_is_replaced_and_closed_once_its_last_answer_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_LOOK_UPS_A_CHANNEL", 3)
    made: list[Slow] = []

    def make() -> Slow:
        made.append(Slow())
        return made[-1]

    async def run() -> None:
        resolver = RenewedResolver(make)
        look_ups = [asyncio.create_task(resolver.resolve("host.test")) for _ in range(4)]
        await comes(lambda: len(made) == 2)
        assert [slow.is_closed for slow in made] == [False, False]
        made[0].let.set()
        await asyncio.gather(*look_ups[:3])
        assert [slow.is_closed for slow in made] == [True, False]
        made[1].let.set()
        await look_ups[3]
        await resolver.close()
        assert [slow.is_closed for slow in made] == [True, True]

    asyncio.run(run())


def test_the_systems_resolver_goes_on_over_several_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_LOOK_UPS_A_CHANNEL", 2)

    async def run() -> list[str]:
        resolver = RenewedResolver()
        found = [await resolver.resolve("localhost", 80, socket.AF_INET) for _ in range(7)]
        await resolver.close()
        return [answer["host"] for answers in found for answer in answers]

    assert set(asyncio.run(run())) == {"127.0.0.1"}


# Connections.


def test_connections_that_idle_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_MOST_KEPT", 8)

    async def run() -> list[bytes]:
        async with peer(answer(), host="0.0.0.0") as there, Client(LOOPBACK) as client:
            for n in range(1, 51):
                assert (await client.get(f"http://127.0.1.{n}:{there.port}/")).ok
            await comes(lambda: there.open_now == 9)
            assert (await client.post(f"http://127.0.1.9:{there.port}/", b"{}")).ok
            return there.requests

    requests = asyncio.run(run())
    assert [header(request, "Connection") for request in requests[:9]] == [None] * 9
    assert [header(request, "Connection") for request in requests[9:]] == ["close"] * 42


def test_a_connection_that_idles_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_KEPT_SECONDS", 0.2)

    async def run() -> None:
        async with peer(answer()) as there, Client(LOOPBACK) as client:
            assert (await client.get(there.url())).ok
            await comes(lambda: there.open_now == 0)

    asyncio.run(run())


# The end.


def at_the_end(
    there: Callable[[Client, Peer, NameServer], Awaitable[asyncio.Task[Response]]],
) -> Response:
    """What a request under way comes to when the client is closed."""

    async def run() -> Response:
        async with (
            name_server({}, frozenset({"silent.test"})) as (server, resolver),
            peer(stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nyy")) as half,
        ):
            client = await Client(LOOPBACK, resolver=resolver).__aenter__()
            request = await there(client, half, server)
            await client.__aexit__(None, None, None)
            async with asyncio.timeout(30):
                return await request

    return asyncio.run(run())


async def reading(client: Client, half: Peer, _: NameServer) -> asyncio.Task[Response]:
    task = asyncio.create_task(client.get(half.url(), timeout_seconds=60))
    await comes(lambda: bool(half.requests))
    return task


async def resolving(client: Client, _: Peer, server: NameServer) -> asyncio.Task[Response]:
    task = asyncio.create_task(client.get("http://silent.test/", timeout_seconds=60))
    await comes(lambda: bool(server.asked["silent.test"]))
    return task


async def queueing(client: Client, half: Peer, _: NameServer) -> asyncio.Task[Response]:
    tasks = [
        asyncio.create_task(client.get(half.url(), timeout_seconds=60)) for _ in range(7)
    ]  # one more than go to a host at once
    await comes(lambda: len(half.requests) == 6)
    return tasks[-1]


@pytest.mark.parametrize("there", [reading, resolving, queueing])
def test_a_get_under_way_ends_with_its_client(
    there: Callable[[Client, Peer, NameServer], Awaitable[asyncio.Task[Response]]],
) -> None:
    response = at_the_end(there)
    assert (response.failure, response.detail) == (Reason.CONNECTION_LOST, "the client was closed")
    assert response.body == b""


def test_a_post_that_has_its_status_keeps_it_when_its_client_ends() -> None:
    async def delivering(client: Client, half: Peer, _: NameServer) -> asyncio.Task[Response]:
        task = asyncio.create_task(client.post(half.url(), b"{}", timeout_seconds=60))
        await comes(lambda: bool(half.requests))
        await asyncio.sleep(0.2)  # for the answer, which is on its way
        return task

    response = at_the_end(delivering)
    assert (response.failure, response.status, response.body) == (None, 200, b"yy")


def test_a_closed_client_is_the_callers_fault() -> None:
    async def run() -> None:
        client = await Client(LOOPBACK).__aenter__()
        await client.__aexit__(None, None, None)
        await client.get("http://127.0.0.1/")

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(run())
