"""What came back from a request, or why nothing did: a value that answers questions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import cast
from urllib.parse import urljoin

from multidict import CIMultiDict, CIMultiDictProxy

from worker.reasons import Reason

_LONGEST_WAIT_SECONDS = 10 * 365 * 86_400  # more means the same, and timedelta has an end
_CHARSET = re.compile(r"[!-~]{1,40}")  # the registry's rule, RFC 2978 section 2.3
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")  # RFC 9110 knows whole ones; some send fractions

_LONGEST_URL = 8_192
_WEB = ("http://", "https://")
_WHOLE_SECONDS = re.compile(r"[0-9]+")
_MOST_LINK_TEXT = 65_536
_PERMANENT_HOPS = frozenset({301, 308})

# RFC 8288 section 3; linear, since no part can begin as the one before it may go on.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LINK = re.compile(rf'<([^<>]*)>((?:[^,"]|{_QUOTED})*)')
_PARAMETER = re.compile(rf"""(?:^|;)\s*([^\s=;,"]+)\s*=\s*({_QUOTED}|[^\s;,"]*)""")
# RFC 9111 section 5.2.2: `no-cache="Set-Cookie"` means that header only.
_DIRECTIVE = re.compile(rf"""([^\s=,;"]+)(?:\s*=\s*({_QUOTED}|[^\s,;"]*))?""")

_BY_STATUS = {
    304: None,
    401: Reason.UNAUTHORIZED,
    403: Reason.UNAUTHORIZED,
    404: Reason.NOT_FOUND,
    410: Reason.GONE,
    429: Reason.RATE_LIMITED,
}
_BY_CLASS = {2: None, 3: Reason.REDIRECTED, 4: Reason.CLIENT_ERROR, 5: Reason.SERVER_ERROR}
_PERMANENT = frozenset(
    {
        Reason.INVALID_URL,
        Reason.ADDRESS_DENIED,
        Reason.TOO_LARGE,
        Reason.UNAUTHORIZED,
        Reason.NOT_FOUND,
        Reason.GONE,
    }
)


@dataclass(frozen=True)
class Hop:
    """A redirect that was followed: `url` answered with `status`."""

    status: int
    url: str


@dataclass(frozen=True)
class Response:
    """The outcome of one request, redirects included.

    `url` is what was asked for and `final_url` what answered (or failed to), both without
    userinfo. `status` and `headers` (any case) are the last answer's; `status` is None when none
    came. `body` is whole, decoded and within the cap, or empty; only a POST's may be cut.
    An error's (4xx, 5xx) is empty also when it was broken: the status is what counts.
    `failure` is what the way there failed on; `detail` is one line for people in any case. Where
    that was REDIRECTED, `onward` is the URL on another host that was not asked for.
    """

    url: str
    final_url: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    elapsed_seconds: float = 0.0
    hops: tuple[Hop, ...] = ()
    failure: Reason | None = None
    detail: str = ""
    onward: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.headers, CIMultiDictProxy):
            object.__setattr__(self, "headers", CIMultiDictProxy(CIMultiDict(self.headers)))

    @property
    def error(self) -> Reason | None:
        """Why this is not an answer to work with; None for 2xx and 304."""
        if self.failure or self.status is None:
            return self.failure
        if self.status in _BY_STATUS:
            return _BY_STATUS[self.status]
        return _BY_CLASS.get(self.status // 100, Reason.UNEXPECTED_STATUS)

    @property
    def ok(self) -> bool:
        """Whether a 2xx came, and no failure with it."""
        return self.failure is None and self.status is not None and self.status // 100 == 2

    @property
    def modified(self) -> bool:
        """False on 304: what was stored before still holds."""
        return self.status != 304

    @property
    def permanent(self) -> bool:
        """Whether the error is one that another try in a while will not cure.

        401 and 403 count: a guest who was told to stay out does not knock again at once.
        """
        return self.error in _PERMANENT

    @property
    def etag(self) -> str | None:
        """The validator to send back in If-None-Match."""
        return self._validator("ETag")

    @property
    def last_modified(self) -> str | None:
        """The validator to send back, as it came, in If-Modified-Since."""
        return self._validator("Last-Modified")

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty when the server named none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset that Content-Type names, in lower case; None for what cannot be a name."""
        for parameter in self.headers.get("Content-Type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip().strip("\"'").lower()
                return charset if _CHARSET.fullmatch(charset) else None
        return None

    def retry_after(self, now: datetime) -> timedelta | None:
        """How long the server asks to be left alone, never negative; None when it does not say.

        A date is taken relative to the server's own clock (its Date header) where that is known,
        else to `now` (aware). RFC 9110 section 10.2.3.
        """
        value = self.headers.get("Retry-After", "").strip()
        if _SECONDS.fullmatch(value):
            return timedelta(seconds=min(float(value), _LONGEST_WAIT_SECONDS))
        until = _http_date(value)
        if until is None:
            return None
        wait = until - (_http_date(self.headers.get("Date", "")) or now)
        return min(max(wait, timedelta()), timedelta(seconds=_LONGEST_WAIT_SECONDS))

    def cache_for(self, now: datetime) -> timedelta | None:
        """How long the answer is fresh, from now on; on a 304 too. RFC 9111 section 4.2.

        By Cache-Control's max-age, else by Expires, less Age. None when the server says nothing;
        zero for no-cache and no-store, for what is stale already, and for what cannot be read
        (section 4.2.1). A date without the server's own beside it is relative to `now` (aware).
        """
        directives = self._cache_control()
        if {"no-cache", "no-store"} & {name for name, value in directives.items() if not value}:
            return timedelta()
        if "max-age" in directives:
            lifetime = _seconds(directives["max-age"] or "") or timedelta()
        elif "Expires" in self.headers:
            until = _http_date(self.headers["Expires"])
            date = _http_date(self.headers.get("Date", "")) or now
            lifetime = until - date if until else timedelta()
        else:
            return None
        age = _seconds(self.headers.get("Age", "").strip()) or timedelta()
        return min(max(lifetime - age, timedelta()), timedelta(seconds=_LONGEST_WAIT_SECONDS))

    @property
    def moved_to(self) -> str | None:
        """Where the leading run of permanent redirects (301, 308) led to; None without one.

        Says nothing of whether that place answered, and has no userinfo, as the hops have none.
        """
        places = [*(hop.url for hop in self.hops), self.final_url]
        run = 0
        while run < len(self.hops) and self.hops[run].status in _PERMANENT_HOPS:
            run += 1
        return places[run] if places[run] != places[0] else None

    @property
    def links(self) -> Mapping[str, tuple[str, ...]]:
        """Absolute http(s) URLs of the Link headers by relation (lower case). RFC 8288.

        Links that say something about another resource (`anchor`) are left out, as is whatever
        cannot be read.
        """
        found: dict[str, list[str]] = {}
        headers = cast("CIMultiDictProxy[str]", self.headers)
        for link in _LINK.finditer(",".join(headers.getall("Link", ()))[:_MOST_LINK_TEXT]):
            url = _absolute(self.final_url, link[1])
            for relation in _relations(link[2]) if url else ():
                found.setdefault(relation, []).append(url)
        return {relation: tuple(urls) for relation, urls in found.items()}

    def _cache_control(self) -> dict[str, str | None]:
        """The directives, the first of each name counting; the value None when there is none."""
        headers = cast("CIMultiDictProxy[str]", self.headers)
        directives: dict[str, str | None] = {}
        for found in _DIRECTIVE.finditer(",".join(headers.getall("Cache-Control", ()))):
            directives.setdefault(found[1].lower(), None if found[2] is None else _bare(found[2]))
        return directives

    def _validator(self, name: str) -> str | None:
        # What cannot be sent back as it came is of no use: aiohttp would refuse to send it.
        value = self.headers.get(name, "")
        return value if value and value.isascii() and value.isprintable() else None


def _absolute(base: str, reference: str) -> str:
    """`reference` as an absolute URL; empty when it leads to nothing that can be asked for."""
    reference = reference.strip()
    try:
        url = urljoin(base, reference)
    except ValueError:
        return ""
    if reference.startswith(_WEB):
        url = reference  # of which `urljoin` drops a `?` at the end; a hub's topic is byte for byte
    is_web = url.startswith(_WEB) and len(url) <= _LONGEST_URL
    return url if is_web and url.isprintable() else ""


def _relations(parameters: str) -> Iterator[str]:
    values: dict[str, str] = {}
    for name, value in _PARAMETER.findall(parameters):
        values.setdefault(name.lower(), _bare(value))  # section 3.3: the first `rel` counts
    if "anchor" not in values:
        yield from dict.fromkeys(values.get("rel", "").lower().split())


def _bare(value: str) -> str:
    """A parameter's value without the quotes that it may have."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _seconds(value: str) -> timedelta | None:
    """RFC 9111 section 1.2.2's delta-seconds; None when `value` is anything else."""
    if not _WHOLE_SECONDS.fullmatch(value):
        return None
    return timedelta(seconds=min(float(value), _LONGEST_WAIT_SECONDS))


def _http_date(value: str) -> datetime | None:
    """All three forms of RFC 9110 section 5.6.7; a date without a zone is UTC."""
    try:
        date = parsedate_to_datetime(value)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
