"""Deliver: send one attempt, and decide purely what came of it."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from worker.http import Client, Response, redacted
from worker.reasons import Reason
from worker.settings import WebhookSettings
from worker.webhooks.seal import UnreadableSecretError, unseal
from worker.webhooks.sign import headers

_EXCERPT = 2_000  # characters of the answer that are kept
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # NUL cannot be stored
_RETRY_AFTER_CAP = timedelta(days=1)
_BUSY = frozenset({429, 502, 503, 504})  # what the spec has a sender slow down for


@dataclass(frozen=True, slots=True)
class OldSecret:
    """A secret, as the store keeps it, that signs beside the one that replaced it."""

    secret: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is told, and under which secret (as the store keeps it: `seal`).

    The secret of a `chat` target is its URL, of which `url` shows no more than may be seen.
    """

    id: int
    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    allow_private: bool
    allow_http: bool
    old_secrets: tuple[OldSecret, ...] = ()
    kind: Literal["webhook", "chat"] = "webhook"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint. `attempt` is the number of the attempt being made, from 1.

    `earlier` attempts were made before it was replayed: the schedule counts without them.
    """

    id: int
    webhook_id: str
    body: bytes = field(repr=False)
    attempt: int
    earlier: int = 0

    @property
    def turn(self) -> int:
        """The number of the attempt in its schedule, from 1."""
        return self.attempt - self.earlier


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What an attempt came to. `due_at` is set while the delivery is pending.

    `endpoint_gone` says that the receiver wants nothing any more (410); `rest` how long it wants to
    be left alone, at least: zero when it did not say, None when it does not want to be.
    """

    delivery_id: int
    attempt: int
    state: Literal["sent", "pending", "dead", "held"]
    due_at: datetime | None
    status: int | None
    reason: Reason | None
    detail: str
    excerpt: str
    endpoint_gone: bool = False
    duration_seconds: float | None = None
    rest: timedelta | None = None


async def send(
    client: Client,
    endpoint: Endpoint,
    delivery: Delivery,
    now: datetime,
    settings: WebhookSettings,
) -> Response | None:
    """Send one attempt at `now`; None when the endpoint's URL may not be used (plain http)."""
    if not endpoint.url.lower().startswith("https://") and not endpoint.allow_http:
        return None
    try:
        secret, *old = _secrets(endpoint, now, settings)
    except UnreadableSecretError as error:
        url = redacted(endpoint.url)
        return Response(url, url, failure=Reason.INVALID_CONFIGURATION, detail=str(error))
    signed = headers(secret, delivery.webhook_id, int(now.timestamp()), delivery.body, old=old)
    return await client.post(
        endpoint.url,
        delivery.body,
        headers={"Content-Type": "application/json", **signed},
        timeout_seconds=settings.timeout_seconds,
        allow_private=endpoint.allow_private,
    )


def decide(
    delivery: Delivery, response: Response | None, now: datetime, settings: WebhookSettings
) -> AttemptOutcome:
    """What the answer means for the delivery (spec, "Webhook delivery", on status codes)."""
    if response is None:
        return _outcome(delivery, "dead", None, None, Reason.INVALID_URL)
    if response.ok:
        return _outcome(delivery, "sent", None, response, None)
    reason = response.error or Reason.UNEXPECTED_STATUS
    if reason is Reason.GONE:
        return _outcome(delivery, "held", None, response, reason)
    asked = min(response.retry_after(now) or timedelta(), _RETRY_AFTER_CAP)
    rest = asked if response.status in _BUSY else None
    if delivery.turn > len(settings.retry_seconds):
        return _outcome(delivery, "dead", None, response, reason, rest)
    due_at = now + max(_backoff(delivery, settings), asked)
    return _outcome(delivery, "pending", due_at, response, reason, rest)


def _secrets(endpoint: Endpoint, now: datetime, settings: WebhookSettings) -> list[str]:
    old = [one.secret for one in endpoint.old_secrets if now < one.until]
    return [unseal(kept, settings) for kept in (endpoint.secret, *old)]


def _backoff(delivery: Delivery, settings: WebhookSettings) -> timedelta:
    # A fifth more or less, by a hash: deliveries that failed together are not tried together.
    digest = hashlib.sha256(f"{delivery.webhook_id}:{delivery.attempt}".encode()).digest()
    jitter = 0.8 + 0.4 * int.from_bytes(digest[:4]) / 2**32
    return timedelta(seconds=settings.retry_seconds[delivery.turn - 1] * jitter)


def _outcome(
    delivery: Delivery,
    state: Literal["sent", "pending", "dead", "held"],
    due_at: datetime | None,
    response: Response | None,
    reason: Reason | None,
    rest: timedelta | None = None,
) -> AttemptOutcome:
    detail = response.detail if response else ""
    return AttemptOutcome(
        delivery_id=delivery.id,
        attempt=delivery.attempt,
        state=state,
        due_at=due_at,
        status=response.status if response else None,
        reason=reason,
        detail=detail or (reason.text if reason else ""),
        excerpt=_excerpt(response.body) if response else "",
        endpoint_gone=reason is Reason.GONE,
        duration_seconds=response.elapsed_seconds if response else None,
        rest=rest,
    )


def _excerpt(body: bytes) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", body.decode("utf-8", "replace"))[:_EXCERPT]
