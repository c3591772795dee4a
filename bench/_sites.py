"""News sites and a webhook receiver, in a process of their own: what `bench.pipeline` measures on.

    python -m bench._sites ARTICLES SECRET

One JSON document a line on stdout: first where `feeds`, `pages` and `hook` are, then, once each
article was alerted by a verified webhook, `seconds` since the first feed was asked for. Ends when
stdin does.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice

from worker.demo import generator
from worker.demo.newsroom import FEED_ITEMS, Newsroom, sites
from worker.demo.receiver import Receiver

LIGHTEST_BYTES, HEAVIEST_BYTES = 100_000, 250_000
_LOOK_SECONDS = 0.005


async def main(count: int, secret: str) -> None:
    async with _newsrooms(count) as newsrooms, Receiver(secret) as receiver:
        feeds = [url for newsroom in newsrooms for url in newsroom.feed_urls]
        pages = {item.url for newsroom in newsrooms for item in newsroom.publications}
        _say({"feeds": feeds, "pages": sorted(pages), "hook": receiver.url})
        measuring = asyncio.create_task(_measure(newsrooms, receiver, pages))
        await asyncio.to_thread(sys.stdin.read)
        measuring.cancel()


@asynccontextmanager
async def _newsrooms(count: int) -> AsyncIterator[list[Newsroom]]:
    """Enough of them that each feed lists all that its site has; each with another weight."""
    number = -(-count // (2 * FEED_ITEMS)) + 1
    step = (HEAVIEST_BYTES - LIGHTEST_BYTES) // max(number - 1, 1)
    articles = generator.articles(seed=1)
    async with AsyncExitStack() as stack:
        newsrooms = [
            Newsroom(sites(2), weight_bytes=LIGHTEST_BYTES + n * step) for n in range(number)
        ]
        for newsroom in newsrooms:
            await stack.enter_async_context(newsroom)
        # The generator's articles are for the two sites in turn.
        for position, article in enumerate(islice(articles, count)):
            newsrooms[position // 2 % number].publish(article)
        yield newsrooms


async def _measure(newsrooms: Sequence[Newsroom], receiver: Receiver, pages: set[str]) -> None:
    urls = [url for newsroom in newsrooms for url in newsroom.feed_urls]
    # The newsroom counts, and tells nobody.
    while not any(newsroom.requests[url] for newsroom in newsrooms for url in urls):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)
    began = time.monotonic()
    missing = set(pages)
    while missing:
        article = (await receiver.arrivals.get()).data["article"]
        missing.discard(article["url"])
        lacks = [one for one in article.get("degradations", ()) if one["stage"] != "translate"]
        if lacks:
            receiver.problems.append(f"{article['url']} was not read: {lacks}")
    seconds = time.monotonic() - began
    _say({"seconds": seconds, "refused": receiver.refused, "problems": receiver.problems})


def _say(document: object) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
