"""Deliver: send one attempt, and decide purely what came of it."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from worker.http import Client, Response
from worker.reasons import Reason
from worker.settings import WebhookSettings
from worker.webhooks.sign import headers

_EXCERPT = 2_000  # characters of the answer that are kept
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # NUL cannot be stored
_RETRY_AFTER_CAP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is told, and under which secret."""

    id: int
    name: str
    url: str
    secret: str
    allow_private: bool
    allow_http: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint. `attempt` is the number of the attempt being made, from 1."""

    id: int
    webhook_id: str
    body: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What an attempt came to. `due_at` is set while the delivery is pending.

    `endpoint_gone` says that the receiver wants nothing any more (410).
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
    signed = headers(endpoint.secret, delivery.webhook_id, int(now.timestamp()), delivery.body)
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
    if delivery.attempt > len(settings.retry_seconds):
        return _outcome(delivery, "dead", None, response, reason)
    asked = min(response.retry_after(now) or timedelta(), _RETRY_AFTER_CAP)
    due_at = now + max(_backoff(delivery, settings), asked)
    return _outcome(delivery, "pending", due_at, response, reason)


def _backoff(delivery: Delivery, settings: WebhookSettings) -> timedelta:
    # A fifth more or less, by a hash: deliveries that failed together are not tried together.
    digest = hashlib.sha256(f"{delivery.webhook_id}:{delivery.attempt}".encode()).digest()
    jitter = 0.8 + 0.4 * int.from_bytes(digest[:4]) / 2**32
    return timedelta(seconds=settings.retry_seconds[delivery.attempt - 1] * jitter)


def _outcome(
    delivery: Delivery,
    state: Literal["sent", "pending", "dead", "held"],
    due_at: datetime | None,
    response: Response | None,
    reason: Reason | None,
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
    )


def _excerpt(body: bytes) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", body.decode("utf-8", "replace"))[:_EXCERPT]
