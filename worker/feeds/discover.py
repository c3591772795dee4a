"""Find a site's feed: what its page names, else what is usual; each URL is asked for once."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import dropwhile
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml import etree
from w3lib.encoding import html_to_unicode

from worker.errors import KabarError
from worker.feeds import options
from worker.feeds.declared import check_url
from worker.feeds.opml import web_url
from worker.feeds.options import is_same_site
from worker.feeds.parse import FeedError, parse
from worker.http import Client, Response, redacted
from worker.http.politeness import host_of
from worker.reasons import Reason
from worker.settings import PolitenessSettings

_MOST_REQUESTS = 16
_MOST_NAMED = 50
_LONGEST_TITLE = 200
_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, "
    "application/xml;q=0.9, text/html;q=0.8, */*;q=0.5"
)
# What pages name as the type of a feed. The last three may be anything: WordPress names its API.
_KINDS = {
    "application/rss+xml": "RSS",
    "application/atom+xml": "Atom",
    "application/feed+json": "JSON Feed",
    "application/rdf+xml": "RSS",
    "application/json": None,
    "application/xml": None,
    "text/xml": None,
}
_ROOT = re.compile(rb"<(?:\w+:)?(rss|rdf|feed|urlset|sitemapindex|opml)\b", re.IGNORECASE)
_ROOTS = {
    b"rss": "RSS", b"rdf": "RSS", b"feed": "Atom", b"urlset": "sitemap", b"sitemapindex": "sitemap",
    b"opml": "OPML",
}  # fmt: skip
_COMMENTS = re.compile(
    r"comment|komentar|kommentar|comentario|coment[aá]rio|commenti|yorum|коммент|評論|评论|コメント",
    re.IGNORECASE,
)
# Beside the page, then at the top of the site; the most usual first.
_USUAL = ("feed", "rss.xml", "feed.xml", "atom.xml", "index.xml")
_USUAL_AT_TOP = ("feed", "rss", "feed.xml", "rss.xml", "atom.xml", "index.xml",
                 "feeds/posts/default", "feed/", "rss/")  # fmt: skip
_PERMANENT = frozenset({301, 308})
_STOP = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Found:
    """A feed of the site. `entries` is None while it was not asked for, but only named on a page;
    otherwise `response` brought it, with so many entries. One that has moved for good is found
    where it is now.
    """

    url: str
    title: str | None
    kind: str | None
    entries: int | None = None
    newest_at: datetime | None = None
    response: Response | None = None


async def discover(
    client: Client,
    url: str,
    given: Mapping[str, Any],
    politeness: PolitenessSettings,
    *,
    every: bool = False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> tuple[Found, ...]:
    """The feeds of the site at `url`, the best first; at least one, and that one was asked for.

    `url` itself if it is a feed; else what its page names, by `<link>` or in the header Link
    (RFC 8288); else the first of the usual paths that has one. With `every` each named feed is
    asked for, not only the best. `given` are the options of a feed's requests; what of them may be
    secret goes to the host of `url` only. One request after another, none twice, `_MOST_REQUESTS`
    at most, spaced as `politeness` has it, and none to a host that failed or wants to be left
    alone. Raises `KabarError` when the site does not answer, or has no feed.
    """
    url = urldefrag(url).url
    search = _Search(client, url, given, politeness, sleep)
    page = await search.get(url)
    if page.error:
        raise KabarError(f"{redacted(url)}: {page.detail}")
    try:
        return (_found(url, page),)
    except FeedError as error:
        _refuse_unless_page(page, error)
    named = _ranked(_named(page), page.final_url)
    if found := await search.among(named, every=every):
        return found
    usual = [Found(path, None, None) for path in _usual(page.final_url)]
    if found := await search.among(usual, every=False):
        return found[:1]
    raise KabarError(f"{redacted(url)}: no feed was found there ({search.account()})")


class _Search:
    """The requests of one search."""

    def __init__(
        self,
        client: Client,
        url: str,
        given: Mapping[str, Any],
        politeness: PolitenessSettings,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._client = client
        self._start = url
        self._for_site = options.resolve(given)
        user_agent = {k: v for k, v in self._for_site.headers.items() if k == "User-Agent"}
        self._for_others = replace(self._for_site, headers=user_agent, verify_tls=True)
        self._politeness = politeness
        self._sleep = sleep
        self._asked: set[str] = set()
        self._hosts: set[str] = set()
        self._left_alone: set[str] = set()

    async def among(self, candidates: Sequence[Found], *, every: bool) -> tuple[Found, ...]:
        """The feeds among `candidates` in their order, without those that turned out to be none;
        empty unless one was asked for and is a feed.
        """
        found = list[Found]()
        confirmed = False
        for candidate in candidates:
            if (confirmed and not every) or len(self._asked) >= _MOST_REQUESTS:
                found.append(candidate)
            elif feed := await self._confirmed(candidate):
                found.append(feed)
                confirmed = True
        return tuple(found) if confirmed else ()

    async def get(self, url: str) -> Response:
        """The answer to a GET, after the time that the host is due since the last one."""
        host = host_of(url)
        if host in self._hosts:
            await self._sleep(self._spacing(host))
        self._asked.add(url)
        use = self._for_site if is_same_site(self._start, url) else self._for_others
        response = await self._client.get(
            url,
            headers={"Accept": _ACCEPT, **use.headers},
            timeout_seconds=use.timeout_seconds,
            proxy=use.proxy,
            verify_tls=use.verify_tls,
        )
        self._hosts |= {host, host_of(response.final_url)}
        if response.failure or response.status in _STOP:
            self._left_alone.add(host)
        return response

    def account(self) -> str:
        """What was done, for whom it did not help."""
        number = len(self._asked)
        return f"{number} URL{'s' if number > 1 else ''} asked for"

    async def _confirmed(self, candidate: Found) -> Found | None:
        url = self._with_login(candidate.url)
        if url in self._asked or host_of(url) in self._left_alone:
            return None
        response = await self.get(url)
        if response.error:
            return None
        try:
            found = _found(url, response)
        except FeedError:
            return None
        return replace(found, title=found.title or candidate.title)

    def _with_login(self, url: str) -> str:
        login, at, _ = urlsplit(self._start).netloc.rpartition("@")
        if not at or not is_same_site(self._start, url):
            return url
        return url.replace("://", f"://{login}@", 1)

    def _spacing(self, host: str) -> float:
        own = self._politeness.hosts.get(host)
        seconds = own.spacing_seconds if own else None
        return self._politeness.spacing_seconds if seconds is None else seconds


def _found(url: str, response: Response) -> Found:
    """Raises `FeedError` when `response` brought no feed."""
    document = parse(response.body, response.final_url, response.headers)
    times = [entry.published_at for entry in document.entries if entry.published_at]
    # A redirect would drop the user and password that are part of the URL.
    moved = response.moved_to if "@" not in urlsplit(url).netloc else None
    if moved:
        rest = dropwhile(lambda hop: hop.status in _PERMANENT, response.hops)
        response = replace(response, url=moved, hops=tuple(rest))
    return Found(
        url=moved or url,
        title=document.title,
        kind=_kind(response.body),
        entries=len(document.entries),
        newest_at=max(times, default=None),
        response=response,
    )


def _kind(body: bytes) -> str | None:
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "JSON Feed"
    root = _ROOT.search(body[:4096].replace(b"\0", b""))  # as UTF-16 has them
    return _ROOTS[root[1].lower()] if root else None


def _refuse_unless_page(page: Response, error: FeedError) -> None:
    if _kind(page.body) == "OPML":
        raise KabarError(
            f"{page.url}: a list of feeds (OPML): save it, and `kabar feeds import` it"
        )
    if error.reason is not Reason.NOT_A_FEED:
        raise KabarError(f"{page.url}: a feed, but {error.detail}")


def _named(page: Response) -> Iterator[Found]:
    """The feeds that a page names as its alternates, in its order."""
    text = html_to_unicode(page.headers.get("Content-Type"), page.body)[1]
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=False, no_network=True)
    root = etree.fromstring(text.encode("utf-8", "replace"), parser) if text.strip() else None
    if root is not None:
        named = next(root.iter("base"), None)
        base = _joined(page.final_url, named.get("href", "")) if named is not None else None
        yield from _linked(root, base or page.final_url)
    for url in page.links.get("alternate", ()):
        yield Found(url, None, None)


def _linked(root: Any, base: str) -> Iterator[Found]:
    for link in root.iter("link"):
        url = _joined(base, link.get("href", "")) if _is_feed(link) else None
        if url:
            title = " ".join(link.get("title", "").split())[:_LONGEST_TITLE]
            yield Found(url, title or None, _KINDS[_type(link)])


def _is_feed(link: Any) -> bool:
    relations = set(link.get("rel", "").lower().split())
    return bool(relations & {"alternate", "feed"}) and _type(link) in _KINDS


def _type(link: Any) -> str:
    name: str = link.get("type", "")
    return name.partition(";")[0].strip().lower()


def _joined(base: str, href: str) -> str | None:
    """The absolute URL that `href` means, without user and fragment; None when it is of no use."""
    try:
        url = redacted(urldefrag(urljoin(base, web_url(href.strip()))).url)
        check_url(url)
    except (KabarError, ValueError):
        return None
    return url


def _ranked(named: Iterable[Found], page_url: str) -> list[Found]:
    """Each URL once, in the page's order, but what belongs to the page's own section before the
    rest of the site, what may be no feed behind it, and comments last.
    """
    once: dict[str, Found] = {}
    for found in named:
        once.setdefault(found.url, found)
    path = urlsplit(page_url).path.rstrip("/")
    section = f"{urljoin(page_url, path)}/" if path else ""

    def rank(found: Found) -> tuple[bool, bool, bool]:
        return _is_of_comments(found), found.kind is None, not found.url.startswith(section)

    return sorted(once.values(), key=rank)[:_MOST_NAMED]


def _is_of_comments(found: Found) -> bool:
    parts = urlsplit(found.url)
    return bool(_COMMENTS.search(f"{parts.path}?{parts.query} {found.title or ''}"))


def _usual(page_url: str) -> list[str]:
    page = urlsplit(page_url)
    top = urljoin(page_url, "/")
    beside = []
    if page.path.strip("/") and "." not in page.path.rpartition("/")[2]:
        beside = [urljoin(f"{top}{page.path.strip('/')}/", path) for path in _USUAL]
    return [*beside, *(urljoin(top, path) for path in _USUAL_AT_TOP)]
