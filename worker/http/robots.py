"""robots.txt (RFC 9309): what a site asks of those who fetch its pages by themselves.

It is kept per host in the store, whatever the scheme: what a site says at https counts for its
http pages too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protego import Protego

from worker.http.client import Client
from worker.http.politeness import host_of
from worker.http.response import Response
from worker.http.target import parse
from worker.reasons import Reason

_LONGEST_READ = 512_000  # bytes; RFC 9309 section 2.5 asks for 500 KiB at least
_TIMEOUT_SECONDS = 10.0  # pages wait for it
_SHORTEST_KEPT = timedelta(hours=1)
_LONGEST_KEPT = timedelta(hours=24)  # section 2.4
_UNREACHABLE_FOR = timedelta(minutes=1)
_LONGEST_CRAWL_DELAY = 60.0

_PRODUCT = re.compile(r"(?:Mozilla/\S+ \(compatible; *)?([A-Za-z_-]*)")
_GROUP = re.compile(r"\s*user[- ]?agent(?:\s*:\s*|\s+)(\*(?![^\s#])|[A-Za-z_-]*)", re.IGNORECASE)
_US, _ALL, _OTHERS = "ours", "*", "others"


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """What came of asking a host for its robots.txt, and until when that holds.

    `body` is the file, empty when the host has none. When the host could not be asked it is the
    last one that came, None without one, and `reason` says why; that is not stored. `status` is
    the answer's, None when none came.
    """

    body: bytes | None
    status: int | None
    until: datetime
    reason: Reason | None = None


class Robots:
    """What a host's robots.txt means. Parsed when first needed, then kept: one object a batch."""

    def __init__(self, file: RobotsFile) -> None:
        self.file = file
        self._parsed: dict[str, Protego] = {}

    @property
    def unreachable(self) -> bool:
        """Whether the host's wishes are not known. Until they are, nothing may be fetched from it
        (RFC 9309 section 2.3.1.4).
        """
        return self.file.body is None

    def allows(self, url: str, user_agent: str) -> bool:
        """Whether `url` may be fetched by who sends `user_agent`."""
        return not self.unreachable and self._rules(user_agent).can_fetch(url, _US)

    def crawl_delay(self, user_agent: str) -> float | None:
        """Seconds between two requests that the site asks for, a minute at most.

        No part of the RFC, but widely written.
        """
        delay = self._rules(user_agent).crawl_delay(_US)
        return None if delay is None else min(delay, _LONGEST_CRAWL_DELAY)

    def _rules(self, user_agent: str) -> Protego:
        product = _product(user_agent)
        if product not in self._parsed:
            text = (self.file.body or b"").decode("utf-8-sig", "replace")
            self._parsed[product] = Protego.parse("\n".join(_renamed(text, product)))
        return self._parsed[product]


def missing(known: Mapping[str, RobotsFile], urls: Iterable[str], now: datetime) -> dict[str, str]:
    """The hosts of `urls` whose robots.txt has to be asked for now, each with one of its URLs."""
    wanted: dict[str, str] = {}
    for url in urls:
        host = host_of(url)
        if host and (host not in known or known[host].until <= now):
            wanted.setdefault(host, url)
    return wanted


async def ask(client: Client, url: str, known: RobotsFile | None, now: datetime) -> RobotsFile:
    """Ask the host of `url` for its robots.txt; `known` is what it said last.

    When it cannot be asked, what it said last holds on (RFC 9309 section 2.3.1.4). Raises
    `InvalidURLError` for a URL without a host.
    """
    page, _ = parse(url)
    response = await client.get(
        str(page.origin().with_path("/robots.txt")),
        headers={"Accept": "text/plain, */*;q=0.1"},
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    came = from_response(response, now + timedelta(seconds=response.elapsed_seconds))
    return replace(came, body=known.body) if came.reason and known else came


def from_response(response: Response, now: datetime) -> RobotsFile:
    """What a response says: 2xx a file, other statuses below 500 that there is none (section
    2.3.1.3), all else that the host could not be asked. 429 belongs there too: who is to ask less
    was not told that all is free.
    """
    if response.ok:
        until = now + _kept_for(response, now)
        return RobotsFile(_cut(response.body), response.status, until)
    if _has_none(response):
        return RobotsFile(b"", response.status, now + _LONGEST_KEPT)
    asked = response.retry_after(now) or timedelta()
    until = now + min(max(asked, _UNREACHABLE_FOR), _LONGEST_KEPT)
    return RobotsFile(None, response.status, until, response.error or Reason.UNEXPECTED_STATUS)


def _kept_for(response: Response, now: datetime) -> timedelta:
    fresh = response.cache_for(now)
    return _LONGEST_KEPT if fresh is None else min(max(fresh, _SHORTEST_KEPT), _LONGEST_KEPT)


def _cut(body: bytes) -> bytes:
    """The part of a file that is read: whole lines."""
    if len(body) <= _LONGEST_READ:
        return body
    return body[: max(body.rfind(b"\n", 0, _LONGEST_READ), 0)]


def _has_none(response: Response) -> bool:
    # A chain of redirects without an end counts as none (section 2.3.1.2).
    status = response.status or 0
    return 300 <= status < 500 and status != 429


def _product(user_agent: str) -> str:
    """The product token of a User-Agent header (RFC 9309 section 2.2.1); empty without one."""
    found = _PRODUCT.match(user_agent)
    return found[1].lower() if found else ""


def _renamed(text: str, product: str) -> Iterator[str]:
    """The lines of a file with each group renamed to whether it is ours.

    By the RFC a group's product token has to equal ours, where the parser looks for it anywhere in
    our name; and a file of many thousand agents becomes one of three: the parser gives each agent
    a copy of each rule, which takes gigabytes for a file that was made for that.
    """
    for line in text.splitlines():
        found = _GROUP.match(line)
        if not found:
            yield line
        elif found[1] == _ALL:
            yield f"User-agent: {_ALL}"
        else:
            is_ours = product and found[1].lower() == product
            yield f"User-agent: {_US if is_ours else _OTHERS}"
