"""WebSub (W3C Recommendation, 23 January 2018): have a feed's news pushed by a hub.

A poll finds the hub, `plan` says whether it is to be asked now, and `subscribe` asks it. From then
on the hub comes to us: `verify` answers its question whether we meant it, `is_authentic` and
`pushed` take what it sends. Polls go on meanwhile; a hub is never all that a feed hangs on.

Nothing is unsubscribed: a hub that pushes for a feed which is no longer followed is told so by 410,
and leases end by themselves.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import unquote, urlencode, urljoin, urlsplit

from worker.feeds.poll import Feed, Hub, PollOutcome, decide
from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import PollSettings, WebSubSettings

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_MOST_REDIRECTS = 3
_HUB_SECONDS = 5.0  # for an answer that says no more than that it was heard
_FIRST_WAIT = timedelta(minutes=10)  # for the hub's verification, then doubled
_LONGEST_WAIT = timedelta(days=1)
_LONGEST_COOL_DOWN = timedelta(days=7)
_DENIED_FOR = timedelta(days=7)
_CHANGE_WAIT = timedelta(hours=1)  # some documents name another hub each time
_LONGEST_LEASE_SECONDS = 31_536_000
_LONGEST_DETAIL = 300
_METHODS = frozenset({"sha1", "sha256", "sha384", "sha512"})  # section 8.1


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a feed has at a hub, or had: see `plan` for what follows from it.

    `token` is the secret part of the callback URL, `secret` signs what the hub sends. `asked_at` is
    when the hub was last asked, `failures` how often since it last verified. A subscription that
    was denied ended at `lease_ends_at`.
    """

    feed_id: int
    hub: str
    topic: str
    token: str = field(repr=False)
    secret: str = field(repr=False)
    state: Literal["asked", "active", "denied"]
    asked_at: datetime
    verified_at: datetime | None = None
    lease_ends_at: datetime | None = None
    pushed_at: datetime | None = None
    failures: int = 0
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a subscription (section 5.1)."""

    hub: str
    topic: str
    token: str = field(repr=False)
    secret: str = field(repr=False)
    callback: str = field(repr=False)
    lease_seconds: int

    @property
    def body(self) -> bytes:
        """The form to post."""
        return urlencode(
            {
                "hub.mode": "subscribe",
                "hub.topic": self.topic,
                "hub.callback": self.callback,
                "hub.lease_seconds": self.lease_seconds,
                "hub.secret": self.secret,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a hub answered: whether it will verify the request, and if not, why.

    `cool_down` is for how long its host wants to be left alone.
    """

    accepted: bool
    status: int | None
    reason: Reason | None = None
    detail: str = ""
    cool_down: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a hub that asks or tells something: status and text; `known` is what the
    subscription is from now on, None when it stays as it is.
    """

    status: Literal[200, 404]
    text: str = ""
    known: Subscription | None = None


def subscribed(feed: Feed, known: Subscription | None) -> Feed:
    """The feed with what its subscription means for its polls."""
    if known is None:
        return feed
    return replace(feed, pushed_at=known.pushed_at, lease_ends_at=known.lease_ends_at)


def plan(
    hub: Hub | None, known: Subscription | None, now: datetime, settings: WebSubSettings
) -> Request | None:
    """The request to send to a feed's hub now; None when there is nothing to ask.

    `hub` is what the feed's document names now; None after a poll that brought no document, when
    what is known still holds. A new subscription gets a token and a secret of its own; a renewed
    one keeps both, since until the hub verifies it the former one goes on (section 5.1).
    """
    if settings.callback_url is None:
        return None
    if known is not None and hub in {None, Hub(known.hub, known.topic)}:
        if not _is_due(known, now):
            return None
        return _request(
            Hub(known.hub, known.topic), known.token, known.secret, settings.callback_url, settings
        )
    if hub is None or (known is not None and now < known.asked_at + _CHANGE_WAIT):
        return None
    token, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    return _request(hub, token, secret, settings.callback_url, settings)


async def subscribe(client: Client, request: Request, now: datetime) -> Answer:
    """Send a request, to the hub to which the hub redirects if it does.

    The token must be stored before: some hubs verify first and answer then.
    """
    for _ in range(_MOST_REDIRECTS + 1):
        response = await client.post(
            request.hub, request.body, headers=_FORM, timeout_seconds=_HUB_SECONDS
        )
        answer = answered(request, response, now)
        if isinstance(answer, Answer):
            return answer
        request = answer
    detail = f"more than {_MOST_REDIRECTS} redirects"
    return Answer(False, response.status, Reason.TOO_MANY_REDIRECTS, detail)


def answered(request: Request, response: Response, now: datetime) -> Answer | Request:
    """What the hub's response means; a request when it is to be sent to another hub."""
    if response.ok:  # 202 by the Recommendation; hubs that verify at once say 204
        return Answer(True, response.status)
    elsewhere = _redirected(request.hub, response)
    if elsewhere:
        return replace(request, hub=elsewhere)
    return Answer(
        False,
        response.status,
        response.error or Reason.UNEXPECTED_STATUS,
        _detail(request, response),
        _cool_down(response, now),
    )


def verify(
    known: Subscription | None, query: Mapping[str, str], now: datetime, settings: WebSubSettings
) -> Verdict:
    """Answer a hub's GET to the callback: its question whether we asked (section 5.3), or its
    word that it will not (section 5.2).

    `known` is what the callback's token stands for: None when there is no such token, or its feed
    is not followed any more.
    """
    wanted = (
        known
        if known is not None
        and known.state != "denied"
        and _same(known.topic, query.get("hub.topic", ""))
        else None
    )
    challenge = query.get("hub.challenge", "")
    match query.get("hub.mode"):
        case "subscribe" if wanted and challenge:
            return Verdict(200, challenge, _active(wanted, query, now, settings))
        case "unsubscribe" if not wanted and challenge:
            return Verdict(200, challenge)
        case "denied" if wanted:
            why = query.get("hub.reason", "")[:_LONGEST_DETAIL]
            detail = f"denied: {why}" if why else "denied"
            denied = replace(wanted, state="denied", lease_ends_at=now, detail=detail)
            return Verdict(200, known=denied)
    return Verdict(404)


def is_authentic(secret: str, signature: str, body: bytes) -> bool:
    """Whether `signature`, the value of X-Hub-Signature, is the one of `body` (section 8)."""
    method, _, digest = signature.strip().partition("=")
    if method.lower() not in _METHODS:
        return False
    right = hmac.new(secret.encode(), body, method.lower()).hexdigest()
    return hmac.compare_digest(right.encode(), digest.lower().encode())


def pushed(
    feed: Feed, body: bytes, content_type: str, now: datetime, settings: PollSettings
) -> PollOutcome:
    """What a poll would make of a pushed document.

    Of its `feed` only what the entries taught counts: a hub may leave out what it sent before, so
    neither validators nor the body's hash are those of the document at the feed's URL.
    """
    response = Response(
        url=feed.url,
        final_url=feed.url,
        status=200,
        headers={"Content-Type": content_type} if content_type else {},
        body=body,
    )
    return decide(replace(feed, body_hash=None), response, now, settings)


def _is_due(known: Subscription, now: datetime) -> bool:
    """Whether a subscription is to be asked for again at the same hub."""
    if known.state == "denied":
        return now >= (known.lease_ends_at or known.asked_at) + _DENIED_FOR
    if known.failures:
        wait = _FIRST_WAIT * (1 << min(known.failures - 1, 20))
        return now >= known.asked_at + min(wait, _LONGEST_WAIT)
    if known.verified_at is None or known.lease_ends_at is None:
        return True
    return now >= known.verified_at + (known.lease_ends_at - known.verified_at) / 2


def _request(
    hub: Hub, token: str, secret: str, callback_url: str, settings: WebSubSettings
) -> Request:
    return Request(
        hub=hub.url,
        topic=hub.topic,
        token=token,
        secret=secret,
        callback=f"{callback_url}/websub/{token}",
        lease_seconds=settings.lease_seconds,
    )


def _redirected(hub: str, response: Response) -> str | None:
    """Another hub's URL (section 5.1); none that would take the secret out of TLS."""
    location = response.headers.get("Location", "")
    if response.status not in {307, 308} or not location:
        return None
    try:
        url = urljoin(hub, location)
        is_open = urlsplit(url).scheme != "https" and urlsplit(hub).scheme == "https"
    except ValueError:  # such as a broken IPv6 literal
        return None
    return None if is_open else url


def _cool_down(response: Response, now: datetime) -> timedelta | None:
    asked = response.retry_after(now)
    return min(asked, _LONGEST_COOL_DOWN) if asked else None


def _detail(request: Request, response: Response) -> str:
    """The hub's own words, where it has some: they are meant for us. Some quote what they got."""
    said = " ".join(response.body.decode("utf-8", "replace").split())
    for secret in (request.token, request.secret):
        said = said.replace(secret, "(hidden)")
    return f"{response.detail}: {said}"[:_LONGEST_DETAIL] if said else response.detail


def _same(topic: str, other: str) -> bool:
    # Hubs decode what need not be encoded (section 5.1).
    return topic == other or unquote(topic) == unquote(other)


def _active(
    known: Subscription, query: Mapping[str, str], now: datetime, settings: WebSubSettings
) -> Subscription:
    lease = _lease_seconds(query.get("hub.lease_seconds", "")) or settings.lease_seconds
    return replace(
        known,
        state="active",
        verified_at=now,
        lease_ends_at=now + timedelta(seconds=lease),
        failures=0,
        detail=None,
    )


def _lease_seconds(text: str) -> int | None:
    # A hub must say it, but those of PubSubHubbub did not always.
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    return min(int(text), _LONGEST_LEASE_SECONDS)
