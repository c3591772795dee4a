"""How a task works on what it claimed: side by side and politely, or one after the other in time.

A batch has one deadline; what is not done by then is given back. Outcomes are committed in groups
as they finish, and a row that raises keeps no other from its outcome.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from redis import RedisError
from sqlalchemy import Engine, RowMapping

from worker import logs, store
from worker.http import Client
from worker.http.network import Network
from worker.http.politeness import Ask, Politeness, host_of
from worker.settings import Settings
from worker.store import claims, hosts
from worker.store.claims import Claim
from worker.store.groups import Groups, Outcome
from worker.store.sessions import read_now

log = logs.get(__name__)

Token = tuple[str, str]  # a host and what it was asked with

_LEFTOVERS = timedelta(seconds=5)  # how much later they are due
_TO_FINISH = 3.0  # seconds that a row needs after its last request, at most
_TOKEN_SECONDS = 10.0  # that a token outlives its request: outcomes are committed in groups


@dataclass(frozen=True)
class Context:
    """What the tasks of this process work with; made after the fork.

    A task waits for its batch for `patience` seconds; what is left of it goes on without the task.
    """

    settings: Settings
    engine: Engine
    patience: float

    @cached_property
    def network(self) -> Network:
        """The process's event loop and client; started when first asked for."""
        return Network(self.settings.http, patience=self.patience)

    @cached_property
    def politeness(self) -> Politeness:
        """What all processes together hold to, host by host. Lives on the network's loop."""
        assert self.settings.broker.url is not None
        return Politeness(self.settings.broker.url, self.settings.politeness)

    @property
    def client(self) -> Client:
        return self.network.client

    def stop(self, seconds: float) -> None:
        """Give unfinished batches `seconds`, then end: what is left of them is given back."""
        if "network" not in vars(self):
            return
        self.network.finish(seconds)
        if "politeness" in vars(self):
            self.network.call(vars(self).pop("politeness").close())
        vars(self).pop("network").close()


class Clock:
    """The store's time, going on from that of a claim, and the claim's deadline."""

    def __init__(self, claim: Claim) -> None:
        self._claimed_at = claim.now
        self._began = time.monotonic()
        self._seconds = claim.work_seconds

    def now(self) -> datetime:
        return self._claimed_at + timedelta(seconds=time.monotonic() - self._began)

    @property
    def seconds_left(self) -> float:
        """How long the batch may still work."""
        return max(0.0, self._began + self._seconds - time.monotonic())


async def given_back(context: Context, claim: Claim, work: Awaitable[None]) -> None:
    """Do `work`; when it is cancelled, what it has not done of the claim is given back."""
    try:
        await work
    except asyncio.CancelledError:
        due_at = await asyncio.to_thread(_now, context) + _LEFTOVERS
        later = dict.fromkeys((row["id"] for row in claim.rows), due_at)
        await put_off(context, claim, later, counts=False)
        raise


async def resting(context: Context, claim: Claim, urls: Mapping[int, str]) -> dict[int, datetime]:
    """Of the rows whose `urls` are given, by id, those whose hosts want to be left alone, and
    until when.
    """
    hosts_of = {row_id: host_of(url) for row_id, url in urls.items()}
    found = await asyncio.to_thread(hosts.known, context.engine, set(hosts_of.values()))
    until = {
        name: host.cool_down_until
        for name, host in found.items()
        if host.cool_down_until and host.cool_down_until > claim.now
    }
    return {row_id: until[host] for row_id, host in hosts_of.items() if host in until}


async def admitted(
    context: Context,
    claim: Claim,
    urls: Mapping[int, str],
    clock: Clock,
    spacings: Mapping[int, float] | None = None,
) -> tuple[dict[int, Token], dict[int, datetime]]:
    """Of the rows whose `urls` are given, by id, those whose hosts may be asked now, with tokens;
    and when it is the others' turn. `spacings` are what sites ask for (seconds).
    """
    seconds = context.settings.http.timeout_seconds + _TOKEN_SECONDS
    wanted = spacings or {}
    asks = {
        row_id: Ask(host_of(url), seconds, claim.stage, str(row_id), wanted.get(row_id, 0.0))
        for row_id, url in urls.items()
    }
    try:
        answers = await context.politeness.admit(list(asks.values()))
    except (RedisError, OSError) as error:
        log.warning("the broker does not say whom to ask", error=str(error))
        return {}, dict.fromkeys(asks, clock.now() + _LEFTOVERS)
    tokens: dict[int, Token] = {}
    later: dict[int, datetime] = {}
    for (row_id, ask), answer in zip(asks.items(), answers, strict=True):
        if answer.token:
            tokens[row_id] = (ask.host, answer.token)
        else:
            later[row_id] = clock.now() + answer.wait
    return tokens, later


async def turn(context: Context, ask: Ask, clock: Clock) -> Token | timedelta:
    """A token for one more request of a row in work; waited for, if that leaves time for the
    request before the clock's deadline. Else in how long it is that one's turn.
    """
    wait = _LEFTOVERS
    while (left := seconds_for_one(clock)) > 0:
        try:
            (answer,) = await context.politeness.admit([ask])
        except (RedisError, OSError) as error:
            log.warning("the broker does not say whom to ask", error=str(error))
            break
        if answer.token:
            return (ask.host, answer.token)
        wait = answer.wait
        if wait.total_seconds() >= left:
            break
        await asyncio.sleep(wait.total_seconds())
    return wait


def seconds_for_one(clock: Clock) -> float:
    """How long one more request of a row in work may take, so that the row is done in time."""
    return clock.seconds_left - _TO_FINISH


async def hand_in(context: Context, tokens: Sequence[Token]) -> None:
    """Hand tokens in; a second time does no harm."""
    if not tokens:
        return
    try:
        await context.politeness.release(tokens)
    except (RedisError, OSError) as error:
        log.warning("tokens not handed in; they run out", error=str(error))


async def side_by_side(
    context: Context,
    claim: Claim,
    rows: Iterable[RowMapping],
    one: Callable[[RowMapping], Awaitable[Outcome]],
    commit: Callable[[list[Outcome]], None],
    clock: Clock,
    tokens: Mapping[int, Token],
) -> None:
    """Do `one` for each of `rows` at once, and `commit` in a thread what they come to.

    What is not done at the clock's deadline, or when this is cancelled, is given back. `tokens`
    are handed in as their rows are done.
    """
    left = {row["id"]: row for row in rows}
    held = dict(tokens)
    counts = True
    loop = asyncio.get_running_loop()
    handing_in: list[asyncio.Task[None]] = []

    def let_go(given: Sequence[Token]) -> None:
        handing_in.append(loop.create_task(hand_in(context, given)))

    def settle(done: list[tuple[int, Outcome]]) -> None:
        try:
            commit([outcome for _, outcome in done])
        finally:
            # Not waited for here: what is stored has not failed, and is not held up, because the
            # broker does not answer.
            given = [held.pop(row_id) for row_id, _ in done if row_id in held]
            loop.call_soon_threadsafe(let_go, given)

    try:
        async with Groups(settle) as groups:

            async def work(row: RowMapping) -> None:
                try:
                    groups.add((row["id"], await one(row)))
                except Exception:
                    # It stays leased, and is claimed alone when the lease has run out.
                    log.exception("a row could not be worked on", stage=claim.stage, row=row["id"])
                del left[row["id"]]

            await _until([work(row) for row in left.values()], clock.seconds_left)
    except asyncio.CancelledError:
        counts = False  # that this process ends is no fault of theirs
        raise
    finally:
        let_go(list(held.values()))
        if left:
            now = await asyncio.to_thread(_now, context)
            await put_off(context, claim, dict.fromkeys(left, now + _LEFTOVERS), counts=counts)
        await asyncio.gather(*handing_in)


async def put_off(
    context: Context, claim: Claim, later: Mapping[int, datetime], *, counts: bool = True
) -> None:
    """Give rows back undone, each due again at its time; whether the claim `counts` as a try."""
    if later:
        await asyncio.to_thread(_release, context, claim, later, counts=counts)


def in_time(context: Context, claim: Claim) -> Iterable[RowMapping]:
    """A claim's rows one by one until its deadline; the rest is given back."""
    until = time.monotonic() + claim.work_seconds
    for position, row in enumerate(claim.rows):
        if time.monotonic() > until:
            late = [row["id"] for row in claim.rows[position:]]
            due_at = _now(context) + _LEFTOVERS
            _release(context, claim, dict.fromkeys(late, due_at))
            return
        yield row


def left_over(context: Context, claim: Claim, row_ids: Iterable[int]) -> None:
    """Give rows back that were not reached in time; they were not tried."""
    later = dict.fromkeys(row_ids, _now(context) + _LEFTOVERS)
    if later:
        _release(context, claim, later, counts=False)


def each(one: Callable[[RowMapping], Outcome], rows: Iterable[RowMapping]) -> Iterable[Outcome]:
    """The outcome of each row; a row that raises keeps no other from its outcome."""
    for row in rows:
        outcome = attempt(one, row)
        if outcome is not None:
            yield outcome


Result = TypeVar("Result")


def attempt(do: Callable[..., Result], *arguments: Any) -> Result | None:
    """What `do` returns; None after an error, which is logged.

    The row that it was done for stays leased, and is claimed alone when the lease has run out.
    """
    try:
        return do(*arguments)
    except Exception:
        log.exception("left until its lease has run out")
        return None


async def _until(works: Sequence[Any], seconds: float) -> None:
    """Do `works` at once, for `seconds` at most; cancel what is not done by then."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _release(
    context: Context, claim: Claim, later: Mapping[int, datetime], *, counts: bool = True
) -> None:
    with store.writing(context.engine) as connection:
        for row_id, due_at in later.items():
            claims.release(connection, claim.stage, row_id, claim.token, due_at, counts=counts)


def _now(context: Context) -> datetime:
    with store.reading(context.engine) as connection:
        return read_now(connection)
