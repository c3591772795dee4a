"""Feeds on loopback, each on an address of its own and all on one port, in a process of their own.

    python -m bench._feeds FEEDS ITEMS HANGING

What `bench.polling` measures on. Of ten feeds seven answer 304 to the right validator, two ignore
validators and send what they always sent, and one has two new items in each round. A document is
ITEMS in full text. The HANGING ones are all on one further address and never answer.

One JSON document a line on stdout: where they are, and an answer to each line of stdin: `round`
begins the next round and `connections` closes all there are, as the minutes between two polls
would; `hanging` says what the hanging host has seen. Ends when stdin does.
"""

import asyncio
import json
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape as escape_xml

from worker.demo import generator

ROOT = Path(__file__).resolve().parents[1]
ITEMS = 30
NEW_ITEMS = 2
CHANGING, IGNORING = 1, 3  # of ten, by the number's last digit: below the first, below the second
_HANGING_HOST = "127.78.0.1"
_TEXTS = 40
_WITHIN_SECONDS = 60.0


class Feeds:
    """The process, while used as a context manager: `urls` of its feeds, and of those `hanging`."""

    def __init__(self, count: int, *, items: int = ITEMS, hanging: int = 0) -> None:
        self._arguments = [str(number) for number in (count, items, hanging)]

    def __enter__(self) -> "Feeds":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._feeds", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        where = self._hear()
        self.urls: list[str] = where["feeds"]
        self.hanging: list[str] = where["hanging"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    @property
    def changing(self) -> int:
        """How many of them have new items in each round."""
        return sum(is_changing(number) for number in range(len(self.urls)))

    def next_round(self) -> None:
        """Let the changing feeds have new items."""
        self._ask("round")

    def close_connections(self) -> None:
        self._ask("connections")

    def seen_hanging(self) -> dict[str, int]:
        """How many requests came to the hanging host: in all, and at most `at_once`."""
        return self._ask("hanging")

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        too_late = threading.Timer(_WITHIN_SECONDS, self._process.kill)
        too_late.start()
        line = self._process.stdout.readline()
        too_late.cancel()
        if not line:
            raise RuntimeError("the feeds' process ended, or did not answer")
        return dict(json.loads(line))


def is_changing(number: int) -> bool:
    return number % 10 < CHANGING


def ignores_validators(number: int) -> bool:
    return CHANGING <= number % 10 < IGNORING


def host(number: int) -> str:
    """The address of feed `number`; up to 62,500 of them."""
    return f"127.77.{number // 250}.{1 + number % 250}"


class Site:
    """The documents of one feed; `base` is the URL of its host."""

    def __init__(self, number: int, base: str, items: int, started_at: datetime) -> None:
        self.number = number
        self.base = base
        self.items = items
        self.started_at = started_at

    def document(self, version: int) -> bytes:
        """RSS 2.0: the newest first, two newer ones with each version."""
        newest = version * NEW_ITEMS + self.items
        items = [self._item(index) for index in range(newest, newest - self.items, -1)]
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" '
            'xmlns:content="http://purl.org/rss/1.0/modules/content/" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
            f"<title>The {self.number}th Gazette</title><link>{self.base}/</link>"
            "<description>All that happened</description><language>en</language>"
            f"{''.join(items)}</channel></rss>\n"
        ).encode()

    def _item(self, index: int) -> str:
        title, author, summary, text = _texts()[index % _TEXTS]
        link = f"{self.base}/articles/{index}"
        published_at = self.started_at - timedelta(hours=48 - index)
        return (
            f"<item><title>{title}</title><link>{link}</link>"
            f'<guid isPermaLink="true">{link}</guid><dc:creator>{author}</dc:creator>'
            f"<pubDate>{format_datetime(published_at)}</pubDate>"
            f"<category>Harbour</category><description>{summary}</description>"
            f"<content:encoded><![CDATA[{text.replace('BASE', self.base)}]]></content:encoded>"
            "</item>"
        )


@cache
def _texts() -> Sequence[tuple[str, str, str, str]]:
    """Title, author, summary and HTML of some articles; `BASE` in place of their host's URL."""
    chance = random.Random(1)
    articles = islice(generator.articles(seed=1, words=450, languages=("en",)), _TEXTS)
    return [
        (
            escape_xml(article.title),
            escape_xml(article.author),
            escape_xml(article.summary),
            _html(article.paragraphs, chance),
        )
        for article in articles
    ]


def _html(paragraphs: Sequence[str], chance: random.Random) -> str:
    """Full text as content management systems write it: more than 60 elements."""
    parts = []
    for position, paragraph in enumerate(paragraphs):
        words = [escape(word, quote=False) for word in paragraph.split()]
        linked, stressed = sorted(chance.sample(range(1, len(words)), 2))
        words[linked] = f'<a href="BASE/tags/{position}"><strong>{words[linked]}</strong></a>'
        words[stressed] = f"<em>{words[stressed]}</em>"
        parts.append(f'<p class="wp-block-paragraph">{" ".join(words)}</p>\n')
        if position % 3 == 0:
            parts.append(
                f'<figure class="wp-block-image size-large"><img src="BASE/images/{position}.jpg" '
                f'alt="{words[0]}" width="1024" height="683" loading="lazy" />'
                f"<figcaption>{' '.join(words[:6])}</figcaption></figure>\n"
            )
        if position % 4 == 3:
            parts.append(f"<h2>{' '.join(words[:5])}</h2>\n")
    items = "".join(f"<li>{paragraph.split('.')[0]}</li>" for paragraph in paragraphs[:5])
    return "".join(parts) + f"<ul>{items}</ul>"


class House:
    """What is answered to whom."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        self._round = 0
        self._bodies: dict[int, tuple[int, bytes]] = {}
        self.connections: set[asyncio.Transport] = set()
        self.hung: dict[asyncio.Transport, int] = {}
        self.asked_hanging = 0
        self.most_hanging = 0

    def answer(self, head: bytes, transport: asyncio.Transport) -> bytes | None:
        """The answer to a request, in wire form; None when there will never be one."""
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/hanging/"):
            self._hang(transport)
            return None
        if not path.startswith(b"/feeds/"):  # robots.txt
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        number = int(path.rpartition(b"/")[2])
        version = self._version(number)
        tag = b'"%d-%d"' % (number, version)
        if not ignores_validators(number) and _header(head, b"if-none-match") == tag:
            return b"HTTP/1.1 304 Not Modified\r\nETag: %b\r\n\r\n" % tag
        body = self._body(number, version)
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml; charset=utf-8\r\n"
            b"ETag: %b\r\nContent-Length: %d\r\n\r\n%b"
        ) % (tag, len(body), body)

    def next_round(self) -> dict[str, int]:
        """Now rather than when they are asked for: a poller is not to wait for our generator."""
        self._round += 1
        for site in self._sites:
            if is_changing(site.number):
                self._body(site.number, self._round)
        return {"round": self._round}

    def close_connections(self) -> dict[str, int]:
        closed = len(self.connections)
        for transport in self.connections:
            transport.close()
        return {"closed": closed}

    def seen_hanging(self) -> dict[str, int]:
        return {"in_all": self.asked_hanging, "at_once": self.most_hanging}

    def gone(self, transport: asyncio.Transport) -> None:
        self.connections.discard(transport)
        self.hung.pop(transport, None)

    def _hang(self, transport: asyncio.Transport) -> None:
        self.asked_hanging += 1
        self.hung[transport] = self.hung.get(transport, 0) + 1
        self.most_hanging = max(self.most_hanging, sum(self.hung.values()))

    def _version(self, number: int) -> int:
        return self._round if is_changing(number) else 0

    def _body(self, number: int, version: int) -> bytes:
        made, body = self._bodies.get(number, (-1, b""))
        if made != version:
            body = self._sites[number].document(version)
            # Most are asked for once; all of them would be some hundred megabytes.
            if is_changing(number) or ignores_validators(number):
                self._bodies[number] = version, body
        return body


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


class Connection(asyncio.Protocol):
    """GET requests, one after the other: what comes has a head and no body."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._house.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.gone(self._transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        while b"\r\n\r\n" in self._came:
            head, _, self._came = self._came.partition(b"\r\n\r\n")
            if (answer := self._house.answer(head, self._transport)) is not None:
                self._transport.write(answer)


async def main(count: int, items: int, hanging: int) -> None:
    allow_sockets()
    house, port = await _open(count, items)
    feeds = [f"http://{host(number)}:{port}/feeds/{number}" for number in range(count)]
    hung = [f"http://{_HANGING_HOST}:{port}/hanging/{number}" for number in range(hanging)]
    _say({"feeds": feeds, "hanging": hung})
    answers = {
        "round": house.next_round,
        "connections": house.close_connections,
        "hanging": house.seen_hanging,
    }
    while line := await asyncio.to_thread(sys.stdin.readline):
        _say(answers[line.strip()]())


async def _open(count: int, items: int) -> tuple[House, int]:
    """Listen on all addresses. Raises `OSError` where loopback has but one."""
    loop = asyncio.get_running_loop()
    sites: list[Site] = []
    house = House(sites)
    port = 0
    for address in (_HANGING_HOST, *map(host, range(count))):
        server = await loop.create_server(lambda: Connection(house), address, port, backlog=512)
        port = server.sockets[0].getsockname()[1]
    now = datetime.now(UTC)
    sites += [Site(number, f"http://{host(number)}:{port}", items, now) for number in range(count)]
    return house, port


def allow_sockets() -> None:
    """A socket a feed, and as many connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(document: object) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
