"""One feed polled in this process, as the service does it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from worker import feeds as room
from worker.cli.output import CommandError, when
from worker.feeds import PollOutcome, websub
from worker.feeds.options import HIDDEN
from worker.http import Client, Response, redacted
from worker.http.politeness import host_of
from worker.settings import Settings
from worker.store import articles, claims, hosts, polls, subscriptions
from worker.store.claims import Claim
from worker.store.sessions import read_now, reading, writing

_OPEN_HEADERS = frozenset(
    {"a-im", "accept", "accept-language", "if-modified-since", "if-none-match", "user-agent"}
)
_MOST_SHOWN = 10
_MEANWHILE = 1_000  # articles of other feeds that may come between ours


@dataclass(frozen=True, slots=True)
class Polled:
    """A poll that was saved. `sent` are the request's own headers, what may be secret hidden;
    `new` how many articles came of it, `titles` those of the first.
    """

    sent: Mapping[str, str]
    response: Response
    outcome: PollOutcome
    new: int
    titles: tuple[str, ...]


def poll(engine: Engine, settings: Settings, row: Mapping[str, Any]) -> Polled:
    """Ask for the feed now, due or not, and save what comes of it.

    Raises `CommandError` when another process is about it, it is not followed, or its host wants
    to be left alone.
    """
    if row["state"] in {"paused", "undeclared"}:
        raise CommandError(f"{redacted(row['url'])} is {row['state']}: resume it first")
    refuse_resting(engine, row["url"])
    polled = _poll(engine, settings, row["id"], None)
    if polled is None:
        raise CommandError(
            f"{redacted(row['url'])} is being polled right now: `kabar feeds show` will say what "
            "came of it"
        )
    return polled


def take_in(engine: Engine, settings: Settings, feed_id: int, response: Response) -> Polled | None:
    """Save what a response that is there already means for the feed, as its poll.

    None when another process is polling the feed.
    """
    return _poll(engine, settings, feed_id, response)


def refuse_resting(engine: Engine, url: str) -> None:
    """Raise `CommandError` when the host of `url` asked to be left alone for now."""
    if until := resting_until(engine, url):
        raise CommandError(f"{host_of(url)} asked to be left alone until {when(until)}")


def resting_until(engine: Engine, url: str) -> datetime | None:
    """Until when the host of `url` wants to be left alone; None when it does not."""
    host = host_of(url)
    with reading(engine) as connection:
        now = read_now(connection)
    known = hosts.known(engine, {host}).get(host)
    until = known.cool_down_until if known else None
    return until if until and until > now else None


def _poll(
    engine: Engine, settings: Settings, feed_id: int, response: Response | None
) -> Polled | None:
    claim = claims.claim_one(engine, "poll", feed_id, settings.lease("poll"))
    if claim is None:
        return None
    try:
        return asyncio.run(_work(engine, settings, claim, response))
    except BaseException:  # an interrupt too: the next one need not wait for the lease
        with writing(engine) as connection:
            due_at = claim.rows[0]["due_at"]
            claims.release(connection, "poll", feed_id, claim.token, due_at, counts=False)
        raise


async def _work(
    engine: Engine, settings: Settings, claim: Claim, response: Response | None
) -> Polled:
    (row,) = claim.rows
    subscription = subscriptions.known(engine, [row["id"]]).get(row["id"])
    feed = websub.subscribed(polls.known(row), subscription)
    async with _Watched(settings.http) as client:
        now = claim.now
        if response is None:
            response = await room.request(client, feed, most_seconds=claim.work_seconds)
            now += timedelta(seconds=response.elapsed_seconds)
        left = max(claim.work_seconds - response.elapsed_seconds, 1)
        children = await room.request_children(client, feed, response, most_seconds=left)
        outcome = room.decide(feed, response, now, settings.poll, children)
        new = polls.save(engine, claim, [outcome]).articles
        request = websub.plan(outcome.hub, subscription, now, settings.websub)
        if request and outcome.result != "failed":
            await _subscribe(engine, client, feed.id, request, now)
    return Polled(client.sent or {}, response, outcome, new, _titles(engine, claim, new))


async def _subscribe(
    engine: Engine, client: Client, feed_id: int, request: websub.Request, now: datetime
) -> None:
    if subscriptions.asked(engine, feed_id, request):
        answer = await websub.subscribe(client, request, now)
        if not answer.accepted:
            subscriptions.failed(engine, request, answer)


def _titles(engine: Engine, claim: Claim, new: int) -> tuple[str, ...]:
    if not new:
        return ()
    mine = [
        article["title"] or article["feed_title"] or article["url"]
        for article in articles.listing(engine, new + _MEANWHILE)
        if (article["feed_id"], article["first_seen_at"]) == (claim.rows[0]["id"], claim.now)
    ]
    return tuple(mine[:_MOST_SHOWN])


class _Watched(Client):
    """A client that notes what it sent first."""

    sent: Mapping[str, str] | None = None

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Response:
        if self.sent is None:
            self.sent = {
                name: value if name.lower() in _OPEN_HEADERS else HIDDEN
                for name, value in (headers or {}).items()
            }
        return await super().get(url, headers=headers or {}, **options)
