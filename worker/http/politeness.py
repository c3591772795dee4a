"""Politeness: how all processes together treat one host.

Redis holds, per host, the tokens of the requests under way (each with its own expiry, so that a
killed process leaks none) and when the last one began; and per lane of a host, who waits for it.
All of it is one script's, and all of it runs out by itself: losing it costs some waiters their
place and, for once, the count of what was under way.

Nobody waits here. Who is refused is told when to ask again, each a spacing later than the one
before, and is known again by its name: it then goes before all who came later. Others of the
queue that are late do not hold it up. A lane (say, polls and pages) has a queue of its own, so
that a thousand pages of a site do not stand before its feed.
"""

import json
import random
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from worker.broker import KEY_PREFIX, redis_url
from worker.http import target
from worker.settings import PolitenessSettings

_KEY_PREFIX = KEY_PREFIX + "host:"
_LONGEST_QUEUE = 900.0  # seconds; beyond it there are no places, only another try
_LATENESS = 900.0  # seconds for which the place of one that does not come is kept: work may lag
_OF_NO_HOST = "-"
_ADMITTED, _WITHOUT_PLACE = -1, -2

_SCRIPT = Path(__file__).with_name("politeness.lua").read_text("utf-8")


class Ask(NamedTuple):
    """Somebody wants to make a request.

    `host` is as `host_of` gives it. `seconds` is how long the token lives when it is not handed
    in. `who` is known again by its name, in the `lane` where it queues. `spacing_seconds` is what
    the site asks for between two requests of a lane (Crawl-delay); the setting is the least.
    """

    host: str
    seconds: float
    lane: str
    who: str
    spacing_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Admission:
    """A token to make the request with and to hand in when it is done; without one: not now, ask
    again after `wait`.
    """

    token: str | None
    wait: timedelta


def host_of(url: str) -> str:
    """The host that `url` is asked from: its name as A-labels in lower case, with the port unless
    that is the scheme's own; empty when the URL cannot be requested.
    """
    try:
        parsed, _ = target.parse(url)
    except target.InvalidURLError:
        return ""
    return target.host(parsed)


class Politeness:
    """Admission of requests, host by host. Belongs to the event loop that first uses it."""

    def __init__(self, url: str, settings: PolitenessSettings) -> None:
        self._settings = settings
        self._hosts = {host_of(f"https://{host}"): own for host, own in settings.hosts.items()}
        self._redis = Redis.from_url(
            redis_url(url),
            socket_timeout=5,
            socket_connect_timeout=3,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that the broker closed meanwhile
        )
        self._script = self._redis.register_script(_SCRIPT)

    async def admit(self, asks: Sequence[Ask], now: float | None = None) -> list[Admission]:
        """Who may ask now, in the order of `asks`; one round trip for all.

        What has no host is admitted: it ends before it leaves. `now` (Unix time) stands in for the
        broker's clock, in tests. Raises `redis.RedisError` and OSError.
        """
        given = [(ask, self._given(ask, secrets.token_hex(8))) for ask in asks]
        sent = [row for ask, row in given if ask.host]
        answers = iter(await self._ask(sent, now) if sent else ())
        return [
            _admission(row[3], next(answers)) if ask.host else _admission(_OF_NO_HOST, _ADMITTED)
            for ask, row in given
        ]

    async def release(self, admitted: Iterable[tuple[str, str]]) -> None:
        """Hand tokens in, each with its host; one round trip. One that ran out is no error.

        Raises `redis.RedisError` and OSError.
        """
        tokens = defaultdict(list)
        for host, token in admitted:
            if host:
                tokens[host].append(token)
        if not tokens:
            return
        async with self._redis.pipeline(transaction=False) as pipeline:
            for host, several in tokens.items():
                pipeline.zrem(f"{_KEY_PREFIX}{host}:tokens", *several)
            await pipeline.execute()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _given(self, ask: Ask, token: str) -> tuple[Any, ...]:
        """An ask as the script reads it."""
        own = self._hosts.get(ask.host)
        at_once = own.at_once if own else None
        spacing = own.spacing_seconds if own else None
        if at_once is None:
            at_once = self._settings.at_once
        if spacing is None:
            spacing = self._settings.spacing_seconds
        lane_spacing = max(spacing, ask.spacing_seconds)
        return (ask.host, ask.lane, ask.who, token, ask.seconds, at_once, spacing, lane_spacing)

    async def _ask(self, rows: Sequence[tuple[Any, ...]], now: float | None) -> list[float]:
        clock = "" if now is None else repr(now)
        args = (_KEY_PREFIX, clock, _LONGEST_QUEUE, _LATENESS, json.dumps(rows))
        answers: list[float] = json.loads(await self._script(args=args))
        return answers


def _admission(token: str, answer: float) -> Admission:
    if answer == _ADMITTED:
        return Admission(token, timedelta())
    if answer == _WITHOUT_PLACE:  # spread, for all of them compete for the few places
        answer = _LONGEST_QUEUE * (1 + random.random())  # noqa: S311
    return Admission(None, timedelta(seconds=answer))
