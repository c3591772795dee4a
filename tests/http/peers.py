"""What the client meets: HTTP peers down to raw bytes, a name server, and a record of connects.

All of them on loopback. A peer is an async context manager; it ends with everything it began.
"""

import asyncio
import socket
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

import aiohttp
import pytest

from worker.settings import HttpSettings

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def settings(*allowed: str, **others: object) -> HttpSettings:
    """Settings that allow connections to the networks `allowed` (text)."""
    return HttpSettings.model_validate({"allow_networks": allowed, **others})


LOOPBACK = settings("127.0.0.0/8", "::1/128")


@dataclass
class Peer:
    """A running HTTP peer and what came to it: connections, and each request's head and body."""

    host: str
    port: int
    scheme: str = "http"
    connections: int = 0
    open_now: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"


@asynccontextmanager
async def peer(
    handler: Handler,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> AsyncIterator[Peer]:
    """A peer that hands each request's bytes to `handler`, which writes what is to be answered.

    The connection is kept for the next request unless `handler` closes it.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this.connections += 1
        this.open_now += 1
        try:
            while not writer.is_closing():
                request = await _request(reader)
                this.requests.append(request)
                await handler(request, writer)
                await writer.drain()
        except (ConnectionError, EOFError, ssl.SSLError):
            return  # the client went away, as several tests want it to
        finally:
            this.open_now -= 1
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, host, port, ssl=tls, backlog=500)
    this = Peer(host, server.sockets[0].getsockname()[1], "https" if tls else "http")
    try:
        yield this
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = header(head, "Content-Length")
    return head + await reader.readexactly(int(length or 0))


def header(request: bytes, name: str) -> str | None:
    """The header `name` of a request as it came over the wire."""
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.decode().partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None


def path(request: bytes) -> str:
    """The path that a request asked for."""
    return request.split(b" ", 2)[1].decode()


def raw(*parts: bytes) -> Handler:
    """Answer with these bytes, then close."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        await writer.drain()
        writer.close()

    return handler


def stall(*parts: bytes) -> Handler:
    """Answer with these bytes, then leave the connection open and silent."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        await writer.drain()
        await asyncio.Event().wait()

    return handler


def half_closed(*parts: bytes) -> Handler:
    """Answer with these bytes, then say that no more is to come, but stay connected."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        await writer.drain()
        writer.write_eof()
        await asyncio.Event().wait()

    return handler


def drip(start: bytes, part: bytes) -> Handler:
    """Answer with `start`, then with `part` again and again, for ever."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    return handler


def answer(
    body: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None
) -> Handler:
    """Answer well, and keep the connection."""
    lines = [f"HTTP/1.1 {status} Phrase", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    return handler


def redirect(location: str, status: int = 302) -> Handler:
    """Answer with a redirect to `location`."""
    return answer(b"moved", status, {"Location": location})


@asynccontextmanager
async def http_proxy() -> AsyncIterator[Peer]:
    """A forwarding proxy and what was asked of it; it finds every host at 127.0.0.1.

    A CONNECT opens a tunnel; any other request is handed on as it came, in origin form.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this.connections += 1
        try:
            request = await _request(reader)
            this.requests.append(request)
            method, asked, rest = request.split(b" ", 2)
            authority = asked if method == b"CONNECT" else asked.split(b"/")[2]
            there = await asyncio.open_connection("127.0.0.1", int(authority.rpartition(b":")[2]))
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there[1].write(b" ".join((method, b"/" + asked.split(b"/", 3)[3], rest)))
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        except (ConnectionError, EOFError):
            return
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    this = Peer("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield this
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@dataclass
class NameServer:
    """A DNS server for A and AAAA: for each name a list of answers, the last one for good.

    An answer is a list of addresses; of a name it does not know it says that it does not exist.
    `silent` names get no reply.
    """

    names: Mapping[str, Sequence[Sequence[str]]]
    silent: frozenset[str]
    asked: Counter[str] = field(default_factory=Counter)

    def reply(self, query: bytes) -> bytes | None:
        """The reply to `query` (RFC 1035 section 4), None for no reply."""
        name, kind, question = _question(query)
        if kind == 1:
            self.asked[name] += 1
        if name in self.silent:
            return None
        answers = self.names.get(name, ())
        turn = min(max(self.asked[name], 1), len(answers)) - 1
        records = [
            b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\0" + _data(address)
            for address in (answers[turn] if answers else ())
            if ip_address(address).version == {1: 4, 28: 6}.get(kind)
        ]
        flags = b"\x81\x80" if answers else b"\x81\x83"
        counts = b"\0\1" + len(records).to_bytes(2, "big") + b"\0\0\0\0"
        return query[:2] + flags + counts + question + b"".join(records)


def _question(query: bytes) -> tuple[str, int, bytes]:
    labels, rest = [], query[12:]
    while rest[0]:
        labels.append(rest[1 : 1 + rest[0]].decode().lower())
        rest = rest[1 + rest[0] :]
    end = len(query) - len(rest) + 5
    return ".".join(labels), int.from_bytes(rest[1:3], "big"), query[12:end]


def _data(address: str) -> bytes:
    packed = ip_address(address).packed
    return len(packed).to_bytes(2, "big") + packed


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (reply := self._server.reply(data)) is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def name_server(
    names: Mapping[str, Sequence[Sequence[str]]], silent: frozenset[str] = frozenset()
) -> AsyncIterator[tuple[NameServer, aiohttp.AsyncResolver]]:
    """A running `NameServer`, and a resolver (the client's own kind) that asks it."""
    server = NameServer(names, silent)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(server), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    resolver = aiohttp.AsyncResolver(nameservers=[f"127.0.0.1:{port}"])
    try:
        yield server, resolver
    finally:
        await resolver.close()
        transport.close()


@contextmanager
def recorded_connects() -> Iterator[deque[str]]:
    """Every address that a TCP socket of this process is connected to inside the block.

    Recorded at the system call; what is not loopback is refused there, lest a test that fails
    leaves the machine.
    """
    seen: deque[str] = deque()
    connect = socket.socket.connect

    def record(self: socket.socket, address: tuple[str, int]) -> None:
        seen.append(address[0])
        found = ip_address(address[0])
        if not (getattr(found, "ipv4_mapped", None) or found).is_loopback:
            raise ConnectionRefusedError("not a loopback address")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", record)
        yield seen


def has_ipv6() -> bool:
    """Whether this machine has IPv6 loopback."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False
