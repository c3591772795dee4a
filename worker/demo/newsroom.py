"""News sites on loopback: feeds and pages that change when something is published.

Each site has an address of its own (127.20.x.y) on one shared port, so that the worker sees as many
hosts as there are sites; where the system has only 127.0.0.1 (macOS), a port of its own. So too on
an address that is asked for, such as that of a bridge to containers.
"""

import errno
import hashlib
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count, cycle, islice
from operator import attrgetter
from types import TracebackType
from typing import Literal, Self
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from worker.demo import pages
from worker.demo.article import Article

FEED_ITEMS = 40

_RELATED = 10
_PROMOTED = 2
_PORT_TRIES = 20


@dataclass(frozen=True)
class Site:
    """A news site. Sites of one layout belong together: what one has, another may repeat."""

    name: str
    language: str
    layout: pages.Layout
    feed: Literal["rss", "atom"] = "rss"


SITES = (
    Site("Pesisir Kini", "id", pages.REGIONAL),
    Site("The Harbour Ledger", "en", pages.BROADSHEET),
    Site("Suara Lereng", "id", pages.PORTAL, feed="atom"),
    Site("Info Segaranten", "id", pages.REGIONAL),
)


def sites(number: int) -> tuple[Site, ...]:
    """Any number of sites, Indonesian and English in turn."""
    pairs = islice(cycle(SITES[:2]), number)
    return tuple(replace(site, name=f"{site.name} {n}") for n, site in enumerate(pairs))


@dataclass(frozen=True)
class Publication:
    """An article on a site. `at` and `updated_at` are when the feed began to say so (UTC)."""

    article: Article
    site: int
    url: str
    at: datetime
    updated_at: datetime | None = None
    promoted: tuple[pages.Link, ...] = ()
    repeats: str | None = None  # the URL of the publication that it repeats

    @property
    def changed_at(self) -> datetime:
        """Since when the feed shows it as it is."""
        return self.updated_at or self.at


@dataclass(frozen=True)
class _Feed:
    body: bytes
    etag: str
    modified_at: datetime


class Newsroom:
    """Serves `sites` while used as an async context manager.

    `publish`, `repeat` and `update` may be called at any time then; feeds and pages change at once.
    `port` 0 takes any free port, `host` None addresses on loopback; `weight_bytes` is what each
    page weighs at least.
    """

    def __init__(
        self,
        sites: Sequence[Site] = SITES,
        *,
        host: str | None = None,
        port: int = 0,
        weight_bytes: int = 0,
    ) -> None:
        self.sites = tuple(sites)
        self.requests: Counter[str] = Counter()  # by URL
        self._host = host
        self._port = port
        self._weight_bytes = weight_bytes
        self._publications: list[dict[str, Publication]] = [{} for _ in self.sites]
        self._feeds: dict[int, _Feed] = {}
        self._read_at: dict[int, datetime] = {}
        self._started_at = datetime.now(UTC)
        self._hosts: list[str] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        sockets = _listen(len(self.sites), self._host, self._port)
        self._hosts = ["{}:{}".format(*listener.getsockname()) for listener in sockets]
        app = web.Application()
        app.router.add_get("/feed.xml", self._serve_feed)
        app.router.add_get("/robots.txt", self._serve_robots)
        app.router.add_get("/{section}/{slug}", self._serve_page)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        for listener in sockets:
            await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def feed_urls(self) -> tuple[str, ...]:
        """The feed of each site."""
        return tuple(f"http://{host}/feed.xml" for host in self._hosts)

    @property
    def publications(self) -> tuple[Publication, ...]:
        """All that was published, the first first."""
        every = (publication for site in self._publications for publication in site.values())
        return tuple(sorted(every, key=attrgetter("at")))

    def seen(self, publication: Publication) -> bool:
        """Whether its page was asked for, and its feed since it says what it says now."""
        read_at = self._read_at.get(publication.site, self._started_at)
        return read_at >= publication.changed_at and publication.url in self.requests

    def publish(self, article: Article) -> Publication:
        """Put `article` on its site, dated now."""
        site = article.site % len(self.sites)
        return self._put(article, site, promoted=self._latest(site)[:_PROMOTED])

    def repeat(self, article: Article) -> Publication:
        """Put a published article, word for word, on another site of the same layout, dated now.

        The copy has its own URL, calls it canonical, and brings along the promotion lines. Raises
        `LookupError` without such a site.
        """
        origin = self._find(article)
        layout = self.sites[origin.site].layout
        for site, other in enumerate(self.sites):
            if site != origin.site and other.layout == layout:
                return self._put(origin.article, site, promoted=origin.promoted, repeats=origin.url)
        raise LookupError(f"no other site is laid out as {self.sites[origin.site].name}")

    def update(self, article: Article) -> Publication:
        """Replace a published article by `article`, which has the same slug, under the same URL."""
        before = self._find(article)
        changed = replace(article, published_at=before.article.published_at)
        publication = replace(before, article=changed, updated_at=datetime.now(UTC))
        self._store(publication)
        return publication

    def _find(self, article: Article) -> Publication:
        return self._publications[article.site % len(self.sites)][article.slug]

    def _put(
        self,
        article: Article,
        site: int,
        *,
        promoted: Sequence[pages.Link],
        repeats: str | None = None,
    ) -> Publication:
        now = datetime.now(UTC)
        publication = Publication(
            article=replace(article, published_at=now),
            site=site,
            url=f"http://{self._hosts[site]}/{article.section}/{article.slug}",
            at=now,
            promoted=tuple(promoted),
            repeats=repeats,
        )
        self._store(publication)
        return publication

    def _store(self, publication: Publication) -> None:
        self._publications[publication.site][publication.article.slug] = publication
        self._feeds.pop(publication.site, None)

    def _latest(self, site: int) -> list[pages.Link]:
        latest = islice(reversed(self._publications[site].values()), _RELATED + 1)
        return [pages.Link(item.article.title, item.url, item.at) for item in latest]

    def _site(self, request: web.Request) -> int:
        self.requests[str(request.url)] += 1
        try:
            return self._hosts.index(request.host)
        except ValueError:
            raise web.HTTPMisdirectedRequest from None

    async def _serve_feed(self, request: web.Request) -> web.Response:
        site = self._site(request)
        feed = self._feed(site)
        self._read_at[site] = datetime.now(UTC)
        headers = {"ETag": feed.etag, "Last-Modified": format_datetime(feed.modified_at, True)}
        if _has_it(request, feed):
            return web.Response(status=304, headers=headers)
        kind = f"application/{self.sites[site].feed}+xml"
        return web.Response(body=feed.body, content_type=kind, charset="utf-8", headers=headers)

    async def _serve_robots(self, request: web.Request) -> web.Response:
        self._site(request)
        return web.Response(text="User-agent: *\nAllow: /\n")

    async def _serve_page(self, request: web.Request) -> web.Response:
        site = self._site(request)
        publication = self._publications[site].get(request.match_info["slug"])
        if publication is None or publication.article.section != request.match_info["section"]:
            raise web.HTTPNotFound
        part = request.query.get("page", "1")
        if part not in map(str, range(1, publication.article.parts + 1)):
            raise web.HTTPNotFound
        page = pages.render(
            publication.article,
            site=self.sites[site].name,
            url=publication.url,
            promoted=publication.promoted,
            related=[link for link in self._latest(site) if link.url != publication.url],
            weight_bytes=self._weight_bytes,
            layout=self.sites[site].layout,
            part=int(part),
        )
        return web.Response(text=page, content_type="text/html", charset="utf-8")

    def _feed(self, site: int) -> _Feed:
        if site not in self._feeds:
            published = self._publications[site].values()
            latest = list(islice(reversed(published), FEED_ITEMS))
            home = f"http://{self._hosts[site]}/"
            changed = max(map(attrgetter("changed_at"), published), default=self._started_at)
            write = {"rss": _rss, "atom": _atom}[self.sites[site].feed]
            body = write(self.sites[site], home, latest, changed).encode()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            self._feeds[site] = _Feed(body, etag, changed.replace(microsecond=0))
        return self._feeds[site]


def _has_it(request: web.Request, feed: _Feed) -> bool:
    """RFC 9110, 13.2.2: If-Modified-Since counts only without If-None-Match."""
    if request.if_none_match is not None:
        etags = {etag.value for etag in request.if_none_match}
        return "*" in etags or feed.etag.strip('"') in etags
    since = request.if_modified_since
    return since is not None and feed.modified_at <= since


def _rss(site: Site, home: str, latest: Sequence[Publication], changed_at: datetime) -> str:
    items = "\n".join(_item(publication) for publication in latest)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">
<channel>
<title>{escape(site.name)}</title>
<link>{escape(home)}</link>
<description>{escape(site.name)}</description>
<language>{escape(site.language)}</language>
<lastBuildDate>{format_datetime(changed_at, True)}</lastBuildDate>
<atom:link href={quoteattr(home + "feed.xml")} rel="self" type="application/rss+xml"/>
{items}
</channel>
</rss>
"""


def _item(publication: Publication) -> str:
    article = publication.article
    updated = publication.updated_at
    return f"""<item>
<title>{escape(article.title)}</title>
<link>{escape(publication.url)}</link>
<guid isPermaLink="true">{escape(publication.url)}</guid>
<pubDate>{format_datetime(publication.at, True)}</pubDate>
<description>{escape(article.summary)}</description>
{f"<atom:updated>{updated.isoformat()}</atom:updated>" if updated else ""}
</item>"""


def _atom(site: Site, home: str, latest: Sequence[Publication], changed_at: datetime) -> str:
    entries = "\n".join(_entry(publication) for publication in latest)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang={quoteattr(site.language)}>
<title>{escape(site.name)}</title>
<id>{escape(home)}</id>
<link rel="alternate" type="text/html" href={quoteattr(home)}/>
<link rel="self" type="application/atom+xml" href={quoteattr(home + "feed.xml")}/>
<updated>{changed_at.isoformat()}</updated>
{entries}
</feed>
"""


def _entry(publication: Publication) -> str:
    article = publication.article
    categories = "".join(f"<category term={quoteattr(tag)}/>" for tag in article.tags)
    return f"""<entry>
<title>{escape(article.title)}</title>
<link rel="alternate" type="text/html" href={quoteattr(publication.url)}/>
<id>{escape(publication.url)}</id>
<published>{publication.at.isoformat()}</published>
<updated>{publication.changed_at.isoformat()}</updated>
<author><name>{escape(article.author)}</name></author>
{categories}
<summary>{escape(article.summary)}</summary>
</entry>"""


def _listen(number: int, host: str | None, port: int) -> list[socket.socket]:
    """`number` listening sockets. Raises `OSError` when `port` is taken."""
    if host or not _has_many_addresses():
        address = host or "127.0.0.1"
        return [_bind(address, port + n if port else 0) for n in range(number)]
    if port:
        return _bind_all(number, port)
    for attempt in count(1):
        try:
            return _bind_all(number, 0)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == _PORT_TRIES:
                raise
    raise AssertionError


def _has_many_addresses() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((_address(0), 0))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
        return True


def _bind_all(number: int, port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for n in range(number):
            listeners.append(_bind(_address(n), port))
            port = listeners[0].getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _address(number: int) -> str:
    return f"127.20.{number // 250}.{number % 250 + 1}"


def _bind(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
