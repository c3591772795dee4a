"""What came back from a request, or why nothing did: a value that answers questions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from multidict import CIMultiDict, CIMultiDictProxy

from worker.reasons import Reason

_LONGEST_WAIT_SECONDS = 10 * 365 * 86_400  # more means the same, and timedelta has an end
_CHARSET = re.compile(r"[!-~]{1,40}")  # the registry's rule, RFC 2978 section 2.3
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")  # RFC 9110 knows whole ones; some send fractions

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
    `failure` is what the way there failed on; `detail` is one line for people in any case.
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

    def _validator(self, name: str) -> str | None:
        # What cannot be sent back as it came is of no use: aiohttp would refuse to send it.
        value = self.headers.get(name, "")
        return value if value and value.isascii() and value.isprintable() else None


def _http_date(value: str) -> datetime | None:
    """All three forms of RFC 9110 section 5.6.7; a date without a zone is UTC."""
    try:
        date = parsedate_to_datetime(value)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
