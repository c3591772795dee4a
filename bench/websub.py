"""How long it takes from a publication to the verified alert when a hub pushes (W3C WebSub).

    python -m bench.websub [--quick] [--check] [--json]

`kabar up` on SQLite, with its own Valkey and the engine `none`, follows a feed that names a hub and
is polled once an hour at most. The publisher puts an article on its site and tells the hub; the hub
gets the feed and posts it, signed, to Kabar's web service; Kabar fetches the page, extracts,
summarises, and tells a receiver by signed webhook. The clock runs from the moment at which the
publisher tells the hub until the receiver has verified the alert, so the hub's own share is in it.
Publications come one by one. The pause between is random, so that no tick of Kabar's falls in step
with them, and longer than the second that Kabar leaves between two requests to one site. Hub, Kabar
and the rest run on the same cores.

`--check` ends with 1 when the 95th percentile is over its target.
"""

import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.sax.saxutils import escape

from aiohttp import web
from rich.console import Console
from rich.table import Table

from tests.servers.hub import Hub
from tests.servers.kabar import Kabar
from worker.demo import generator, pages
from worker.demo.article import Article
from worker.demo.receiver import Receiver
from worker.webhooks import generate_secret

TARGETS = {"p95": 1.0}
PUBLICATIONS, QUICK_PUBLICATIONS = 50, 10
WARM_UP = 3  # the first push loads what later ones find loaded
WITHIN_SECONDS = 60.0
PAUSE_SECONDS = (1.0, 2.5)
PAGE_BYTES = 150_000
LISTED = 20
SETTINGS = {
    "KABAR_HTTP__ALLOW_NETWORKS": "127.0.0.0/8",
    "KABAR_POLL__INTERVAL_SECONDS": "3600",
    "KABAR_POLL__MIN_INTERVAL_SECONDS": "3600",
    "KABAR_TRANSLATE__ENGINES": "none",
}
COLUMNS = {"median": "median", "p95": "95th percentile", "longest": "longest"}


def main() -> int:
    options = parse()
    count = QUICK_PUBLICATIONS if options.quick else PUBLICATIONS
    # Not `TMPDIR`: a socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="kabar-", dir="/tmp") as directory, Hub() as hub:
        seconds = asyncio.run(measure(hub, Path(directory), count))
    found = report(seconds)
    Console(stderr=options.json).print(table(found))
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    quick = f"{QUICK_PUBLICATIONS} publications, not {PUBLICATIONS}"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--check", action="store_true", help="exit code 1 when over the target")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


async def measure(hub: Hub, directory: Path, count: int) -> list[float]:
    """Seconds from publication to alert, of `count` publications."""
    secret = generate_secret()
    articles = islice(generator.articles(seed=1, sites=1, languages=("en",)), WARM_UP + count)
    async with Publisher(hub) as publisher, Receiver(secret) as receiver:
        kabar = await asyncio.to_thread(start, directory, publisher.feed_url, receiver.url, secret)
        try:
            await subscribed(hub)
            seconds = []
            for number, article in enumerate(articles):
                seconds.append(await publish(publisher, receiver, article))
                print(f"publication {number + 1}: {seconds[-1]:.3f} s", file=sys.stderr)
                await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
        finally:
            await asyncio.to_thread(kabar.close)
    if receiver.problems or receiver.refused:
        raise RuntimeError(f"not as it should be: {receiver.problems}, {receiver.refused} refused")
    return seconds[WARM_UP:]


def start(directory: Path, feed_url: str, hook: str, secret: str) -> Kabar:
    """`kabar up`, which follows the feed and tells the hook."""
    feeds_file = directory / "feeds.toml"
    feeds_file.write_text(f'[[feeds]]\nurl = "{feed_url}"\n')
    port = free_port()
    reached = {
        "KABAR_FEEDS_FILE": str(feeds_file),
        "KABAR_WEB__PORT": str(port),
        "KABAR_WEBSUB__CALLBACK_URL": f"http://127.0.0.1:{port}",
    }
    kabar = Kabar(directory, SETTINGS | reached)
    try:
        kabar.start("up")
        hook_options = ("--secret", secret, "--allow-private", "--allow-http")
        kabar.run("endpoints", "add", "bench", hook, *hook_options).check_returncode()
    except BaseException:
        kabar.close()
        raise
    return kabar


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def subscribed(hub: Hub) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    while not await asyncio.to_thread(hub.subscriptions):
        if time.monotonic() > until:
            raise RuntimeError(f"no subscription within {WITHIN_SECONDS:g} s")
        await asyncio.sleep(0.1)


async def publish(publisher: "Publisher", receiver: Receiver, article: Article) -> float:
    """Seconds until the alert. Raises `RuntimeError` when there is none, or of something else."""
    publisher.put(article)
    began = time.monotonic()
    telling = asyncio.create_task(publisher.tell())
    try:
        alert = await asyncio.wait_for(receiver.arrivals.get(), WITHIN_SECONDS)
    except TimeoutError:
        raise RuntimeError(f"no alert within {WITHIN_SECONDS:g} s") from None
    seconds = time.monotonic() - began
    answers = await telling
    if answers != [204] or alert.data["article"]["url"] != publisher.url_of(article):
        raise RuntimeError(f"not as it should be: the hub got {answers}, alerted was {alert}")
    return seconds


class Publisher:
    """A news site whose feed names the hub in its headers, while used as a context manager."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._articles: dict[str, Article] = {}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/feed.xml", self._serve_feed)
        app.router.add_get("/news/{slug}", self._serve_page)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def feed_url(self) -> str:
        return f"{self._home}/feed.xml"

    def url_of(self, article: Article) -> str:
        return f"{self._home}/news/{article.slug}"

    def put(self, article: Article) -> None:
        self._articles[article.slug] = article

    async def tell(self) -> list[int]:
        """Tell the hub; what its subscribers answered."""
        return await asyncio.to_thread(self._hub.publish, self.feed_url)

    @property
    def _home(self) -> str:
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _serve_feed(self, _request: web.Request) -> web.Response:
        latest = list(self._articles.values())[-LISTED:]
        items = "".join(
            f"<item><title>{escape(article.title)}</title><link>{self.url_of(article)}</link>"
            f"<guid>{self.url_of(article)}</guid>"
            f"<description>{escape(article.summary)}</description></item>"
            for article in reversed(latest)
        )
        return web.Response(
            text=f"<rss version='2.0'><channel><title>Ledger</title>{items}</channel></rss>",
            content_type="application/rss+xml",
            headers={"Link": f'<{self._hub.url()}>; rel="hub", <{self.feed_url}>; rel="self"'},
        )

    async def _serve_page(self, request: web.Request) -> web.Response:
        article = self._articles.get(request.match_info["slug"])
        if article is None:
            raise web.HTTPNotFound
        page = pages.render(
            article, site="Ledger", url=self.url_of(article), weight_bytes=PAGE_BYTES
        )
        return web.Response(text=page, content_type="text/html")


def report(seconds: Sequence[float]) -> dict[str, Any]:
    kabar = {
        "median": round(statistics.median(seconds), 3),
        "p95": round(statistics.quantiles(seconds, n=20, method="inclusive")[-1], 3),
        "longest": round(max(seconds), 3),
    }
    return {
        "title": "From a publication to the alert, pushed by a hub (WebSub)",
        "note": f"{len(seconds)} publications, one by one, on pages of {PAGE_BYTES // 1_000} KB: "
        "from when the publisher tells the hub until the receiver has verified the webhook. "
        "`kabar up` with SQLite and engine `none`; hub, publisher and receiver on the same cores.",
        "figures": [
            {"name": f"kabar, {label}", "value": kabar[key], "unit": "s"}
            for key, label in COLUMNS.items()
        ],
        "kabar": kabar,
        "targets": TARGETS,
        "passed": kabar["p95"] <= TARGETS["p95"],
    }


def table(found: dict[str, Any]) -> Table:
    made = Table("", *(f"{label}\ns" for label in COLUMNS.values()), title="WebSub")
    made.add_row("kabar", *(f"{found['kabar'][key]:.3f}" for key in COLUMNS))
    made.add_row("target", *(str(TARGETS.get(key, "")) for key in COLUMNS))
    made.caption = "passed" if found["passed"] else "not passed"
    return made


if __name__ == "__main__":
    sys.exit(main())
