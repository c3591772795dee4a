"""A web server on loopback, on a thread of its own: the peers of `tests.http`, one a path."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from html import escape
from threading import Event
from types import TracebackType

from tests.http.peers import Handler, Peer, answer, path, peer
from tests.servers.loop import on_a_loop

_NOT_THERE = answer(b"nothing here", 404)


class Site:
    """Answers each path by the handler that `routes` has for it; 404 where there is none."""

    def __init__(self) -> None:
        self.routes: dict[str, Handler] = {}
        self._open = ExitStack()
        self._peer: Peer

    def __enter__(self) -> "Site":
        self._peer = self._open.enter_context(on_a_loop(peer(self._answer)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def requests(self) -> Sequence[bytes]:
        """What was asked so far, each as it came over the wire."""
        return list(self._peer.requests)

    def url(self, path: str) -> str:
        return self._peer.url(path)

    def asked(self, wanted: str) -> int:
        """How often a path was asked for."""
        return sum(path(request) == wanted for request in self.requests)

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        await self.routes.get(path(request), _NOT_THERE)(request, writer)


def feed(*links: str, description: str = "What the feed says of it.") -> Handler:
    """An RSS feed of these articles, each titled by its link's last part."""
    items = "".join(
        f"<item><title>On {escape(link.rpartition('/')[2])}</title><guid>{escape(link)}</guid>"
        f"<link>{escape(link)}</link><description>{escape(description)}</description></item>"
        for link in links
    )
    document = (
        '<?xml version="1.0"?><rss version="2.0"><channel><title>The Ledger</title>'
        f"<language>en</language>{items}</channel></rss>"
    )
    return answer(document.encode(), headers={"Content-Type": "application/rss+xml"})


def article(subject: str, content_type: str = "text/html; charset=utf-8") -> Handler:
    """An article of some hundred words that no other subject has in common with it."""
    paragraphs = "".join(
        f"<p>The {subject} was seen by the harbour in the morning, said the {subject} board. "
        f"Nobody had expected the {subject} of that size before the spring of this year.</p>"
        for _ in range(4)
    )
    page = (
        f"<html lang=en><head><title>The {subject}</title></head><body><article>"
        f"<h1>The {subject}</h1>{paragraphs}</article></body></html>"
    )
    return answer(page.encode(), headers={"Content-Type": content_type})


def late(handler: Handler, seconds: float) -> Handler:
    """Answer after a while."""

    async def wait(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await handler(request, writer)

    return wait


def held(until: Event, handler: Handler) -> Handler:
    """Answer when the event is set."""

    async def wait(request: bytes, writer: asyncio.StreamWriter) -> None:
        while not until.is_set():
            await asyncio.sleep(0.01)
        await handler(request, writer)

    return wait


def endless(size: int) -> Handler:
    """An HTML page of `size` bytes, in chunks: nobody says beforehand how long it is."""
    part = b"<p>" + b"word " * 13_000 + b"</p>"

    async def send(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(size // len(part)):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    return send
