"""What `bench.polling` measures beside Kabar: the library `reader`, and the limit.

    python -m bench._pollers reader|limit FILE

The first line of stdin is a JSON list of feeds, the answer to it on stdout `{}`. Each further line
is a round: all feeds are asked for once, then a JSON line says how many were `changed`, and what
`failed`. FILE is where `reader` may keep its database. Ends when stdin does.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any

from bench._feeds import NEW_ITEMS, allow_sockets

WORKERS = 16
AT_ONCE = 100  # as many feeds as Kabar claims at once


def reader(path: str) -> None:
    """The library as its documentation has it, with the plugins that it loads by itself."""
    # Its own copy of feedparser needs sgmllib3k, which no wheel brings, and is no faster.
    os.environ["READER_NO_VENDORED_FEEDPARSER"] = "1"
    from reader import UpdatedFeed, make_reader

    with closing(make_reader(path)) as library:
        for url in hear():
            library.add_feed(url)
        say({})
        for _ in rounds():
            # `scheduled=False`: else a feed is asked for once an hour at most.
            ends = dict(library.update_feeds_iter(scheduled=False, workers=WORKERS))
            feeds = [end for end in ends.values() if isinstance(end, UpdatedFeed)]
            failed = {url: str(end) for url, end in ends.items() if isinstance(end, Exception)}
            say({"changed": sum(feed.new >= NEW_ITEMS for feed in feeds), "failed": failed})


def limit(_path: str) -> None:
    """What any poller built on aiohttp and feedparser does at least.

    It stores and hashes nothing, and takes a server's ETag at its word: a body whose ETag it knows
    is read, not parsed.
    """
    allow_sockets()
    asyncio.run(_limit())


async def _limit() -> None:
    import aiohttp

    urls = hear()
    tags: dict[str, str] = {}
    connector = aiohttp.TCPConnector(limit=0)
    cookies = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=cookies) as session:
        say({})
        # Between rounds nobody needs the loop but connections that end: it may not stand still.
        while await asyncio.to_thread(sys.stdin.readline):
            waiting = iter(urls)
            polled = await asyncio.gather(*(_poll(session, waiting, tags) for _ in range(AT_ONCE)))
            say({"changed": sum(polled), "failed": {}})


async def _poll(session: Any, urls: Iterator[str], tags: dict[str, str]) -> int:
    """Poll `urls` one after the other; how many had changed."""
    changed = 0
    for url in urls:
        headers = {"If-None-Match": tags[url]} if url in tags else {}
        async with session.get(url, headers=headers) as response:
            body = await response.read()
            tag = response.headers["ETag"]
        if response.status == 200 and tags.get(url) != tag:
            tags[url] = tag
            changed += 1
            _parse(body, response.headers["Content-Type"])
    return changed


def _parse(body: bytes, content_type: str) -> None:
    import feedparser

    document = feedparser.parse(
        BytesIO(body),
        response_headers={"content-type": content_type},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    assert document.entries


def rounds() -> Iterator[str]:
    while line := sys.stdin.readline():
        yield line


def hear() -> Any:
    return json.loads(sys.stdin.readline())


def say(document: object) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    {"reader": reader, "limit": limit}[sys.argv[1]](sys.argv[2])
