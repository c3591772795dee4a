"""One thin task a stage: claim, call the room, commit, wake the next stage.

A message only says that there may be work in a stage; what to do is in the store. So a message may
come twice or never: the dispatcher finds whatever is due and wakes its stage again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import Task, current_app, shared_task
from kombu.exceptions import OperationalError
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, RowMapping

from worker import articles, feeds, language, logs, store, webhooks
from worker.broker import KEY_PREFIX, redis_url
from worker.errors import KabarError
from worker.http import Client, Response, redacted
from worker.language import translate as translation
from worker.settings import Settings, Stage
from worker.store import articles as article_statements
from worker.store import claims, pages, processes, tallies
from worker.store import feeds as feed_statements
from worker.store import stories as story_statements
from worker.store import webhooks as webhook_statements
from worker.store.claims import MAX_EXPIRIES, Claim
from worker.store.groups import Groups, Outcome, commit_in_groups
from worker.store.sessions import read_now

log = logs.get(__name__)

CONTROL = "control"
_TICKS = ("dispatch", "sweep")
_WAKE_SECONDS = 3  # a wake-up that got lost is missed for as long, then the dispatcher repeats it
_RELEASE = timedelta(seconds=5)  # how much later a batch's leftovers are due
_BROKEN_ENDPOINT = timedelta(minutes=5)


class Wakes:
    """Wake-ups of stages: at most one waits for each, however often it is asked for."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            redis_url(url),
            socket_timeout=5,
            socket_connect_timeout=3,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that the broker closed meanwhile
        )
        self._down_until = 0.0

    def wake(self, stage: str, queue: str | None = None) -> bool:
        """Publish a wake-up of `stage`, unless one waits already; False when none was needed or
        the broker is out of reach: the dispatcher asks again.
        """
        queue = queue or stage
        if time.monotonic() < self._down_until:
            return False
        try:
            if not self._may(stage, queue):
                return False
            _task(stage).apply_async(queue=queue)
        except (RedisError, OperationalError, OSError) as error:
            # Not again at once: work that waits for a frozen broker at each step stands still.
            self._down_until = time.monotonic() + _WAKE_SECONDS
            log.warning("could not wake a stage", stage=stage, error=str(error))
            return False
        return True

    def _may(self, stage: str, queue: str) -> bool:
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(_wake_key(stage), 1, nx=True, ex=_WAKE_SECONDS)
            # The key runs out, in case its wake-up was lost; while nobody works, it was not.
            pipeline.llen(KEY_PREFIX + queue)
            is_first, waiting = pipeline.execute()
        return bool(is_first) and waiting < (len(_TICKS) if queue == CONTROL else 1)

    def taken(self, stage: str) -> None:
        """Say that the wake-up has arrived: the next one may be published."""
        try:
            self._redis.delete(_wake_key(stage))
        except (RedisError, OSError) as error:
            log.warning("could not clear a wake-up", stage=stage, error=str(error))


@dataclass(frozen=True)
class Context:
    """What the tasks of this process work with; made after the fork."""

    settings: Settings
    engine: Engine
    wakes: Wakes


_context: Context | None = None


def start(settings: Settings) -> None:
    """Set up this process for tasks. Called in each pool process, after its fork."""
    global _context  # noqa: PLW0603 - Celery calls tasks with nothing but their arguments
    assert settings.broker.url is not None
    _context = Context(settings, store.open_engine(settings), Wakes(settings.broker.url))


def context() -> Context:
    """This process's context."""
    assert _context is not None, "worker.tasks.start was not called in this process"
    return _context


@shared_task(name="kabar.dispatch", ignore_result=True)
def dispatch() -> None:
    """Wake each stage in which something is due; ticked by beat."""
    my = context()
    my.wakes.taken("dispatch")
    _apply_feeds_file(my)
    for stage in claims.due_stages(my.engine):
        my.wakes.wake(stage)


_complained_of: str | None = None


def _apply_feeds_file(my: Context) -> None:
    """Reload the feeds file when it changed; of one that cannot be understood, complain once."""
    global _complained_of  # noqa: PLW0603
    try:
        change = feed_statements.apply_file(my.engine, my.settings.feeds_file)
        _complained_of = None
    except KabarError as error:
        if str(error) != _complained_of:
            log.error("the feeds file does not count", error=str(error))  # noqa: TRY400
        _complained_of = str(error)
        return
    if change:
        log.info("feeds file applied", added=change.added, paused=change.paused)


@shared_task(name="kabar.sweep", ignore_result=True)
def sweep() -> None:
    """Keep house: old pages, the days to come, processes that are no more; ticked by beat."""
    my = context()
    my.wakes.taken("sweep")
    dropped = pages.maintain(my.engine, timedelta(days=my.settings.retention.pages_days))
    forgotten = processes.forget(my.engine)
    tallies.forget(my.engine)
    if dropped or forgotten:
        log.info("swept", pages=dropped, processes=forgotten)


@shared_task(name="kabar.poll", ignore_result=True)
def poll() -> None:
    """Poll a batch of due feeds, side by side."""
    my = context()
    if not (claim := _claim(my, "poll", my.settings.poll.batch)):
        return

    def commit(outcomes: list[feeds.PollOutcome]) -> None:
        if feed_statements.save(my.engine, claim, outcomes, settings=my.settings):
            my.wakes.wake("fetch")

    async def one(client: Client, row: RowMapping) -> feeds.PollOutcome:
        feed = feed_statements.known(row)
        if row["expiries"] >= MAX_EXPIRIES:
            return feeds.crashed(feed, claim.now, my.settings.poll)
        response = await feeds.request(client, feed)
        outcome = feeds.decide(feed, response, _came_at(claim.now, response), my.settings.poll)
        say = log.debug if outcome.result == "unchanged" else log.info
        say(
            "polled",
            feed=feed.id,
            url=redacted(feed.url),
            result=outcome.result,
            reason=outcome.reason,
        )
        return outcome

    asyncio.run(_side_by_side(my, claim, one, commit))


@shared_task(name="kabar.fetch", ignore_result=True)
def fetch() -> None:
    """Fetch the pages of a batch of articles, side by side."""
    my = context()
    if not (claim := _claim(my, "fetch", my.settings.fetch.batch)):
        return

    def commit(outcomes: list[articles.FetchOutcome]) -> None:
        article_statements.save_fetched(my.engine, claim, outcomes)
        my.wakes.wake("process")

    async def one(client: Client, row: RowMapping) -> articles.FetchOutcome:
        article = article_statements.to_fetch(row)
        with logs.bind(article=article.id):
            if row["expiries"] >= MAX_EXPIRIES:
                outcome = articles.crashed(article, claim.now)
            else:
                response = await articles.request(client, article.url) if article.url else None
                now = _came_at(claim.now, response)
                outcome = articles.decide(article, response, now, my.settings.fetch)
            log.info("fetched", url=article.url, result=outcome.result, reason=outcome.reason)
        return outcome

    asyncio.run(_side_by_side(my, claim, one, commit))


@shared_task(name="kabar.process", ignore_result=True)
def process() -> None:
    """Extract, identify and summarise a few articles."""
    my = context()
    if not (claim := _claim(my, "process", my.settings.process.batch)):
        return
    sources = {source.article_id: source for source in article_statements.sources(my.engine, claim)}

    def one(row: RowMapping) -> language.ProcessOutcome:
        source = sources[row["id"]]
        with logs.bind(article=row["id"]):
            if row["expiries"] >= MAX_EXPIRIES:
                outcome = language.crashed(source, my.settings)
            else:
                outcome = language.process(source, my.settings)
            log.info("processed", language=outcome.language, words=outcome.article.word_count,
                     reason=outcome.reason)  # fmt: skip
        return outcome

    def commit(outcomes: list[language.ProcessOutcome]) -> None:
        article_statements.save_processed(my.engine, claim, outcomes)
        for stage in dict.fromkeys(outcome.next_stage for outcome in outcomes):
            my.wakes.wake(stage)

    commit_in_groups(_each(one, _in_time(my, claim)), commit)


@shared_task(name="kabar.translate", ignore_result=True)
def translate() -> None:
    """Translate titles and summaries of a batch of articles."""
    my = context()
    if not (claim := _claim(my, "translate", my.settings.translate.batch)):
        return
    engines = translation.engines(my.settings.translate)
    targets = my.settings.translate.targets

    def one(row: RowMapping) -> translation.TranslateOutcome:
        texts = article_statements.to_translate(row)
        with logs.bind(article=row["id"]):
            if row["expiries"] >= MAX_EXPIRIES:
                outcome = translation.crashed(texts, targets, claim.now)
            else:
                outcome = translation.translate(texts, engines, targets, claim.now)
            log.info("translated", result=outcome.status, reason=outcome.reason)
        return outcome

    def commit(outcomes: list[translation.TranslateOutcome]) -> None:
        article_statements.save_translated(my.engine, claim, outcomes)
        my.wakes.wake("publish")

    commit_in_groups(_each(one, _in_time(my, claim)), commit)


@shared_task(name="kabar.publish", ignore_result=True)
def publish() -> None:
    """Let a batch of articles open or join stories."""
    my = context()
    if not (claim := _claim(my, "publish", my.settings.publish.batch)):
        return
    for published in _publish(my, claim):
        log.info("published", article=published.article_id, story=published.story_id,
                 result=published.result)  # fmt: skip
    my.wakes.wake("deliver")


def _publish(my: Context, claim: Claim) -> list[story_statements.Published]:
    """All in one transaction; if that fails, each alone, so that one holds up no other."""
    try:
        return story_statements.publish(my.engine, claim)
    except Exception:
        log.exception("a batch could not be published; its articles are tried one by one")
    published = []
    for row in claim.rows:
        alone = replace(claim, rows=[row])
        published += _try(story_statements.publish, my.engine, alone) or []
    return published


def _try(do: Callable[..., Outcome], *arguments: Any) -> Outcome | None:
    """What `do` returns; None after an error, which is logged.

    The row that it was done for stays leased, and is claimed alone when the lease has run out.
    """
    try:
        return do(*arguments)
    except Exception:
        log.exception("left until its lease has run out")
        return None


@shared_task(name="kabar.deliver", ignore_result=True)
def deliver() -> None:
    """Send what is due to a batch of endpoints, side by side."""
    my = context()
    if claim := _claim(my, "deliver", my.settings.webhooks.batch):
        asyncio.run(_deliver(my, claim))


async def _deliver(my: Context, claim: Claim) -> None:
    until = time.monotonic() + claim.work_seconds
    async with Client(my.settings.http) as client:
        served = [_serve(my, claim, client, row, until) for row in claim.rows]
        ends = await asyncio.gather(*served, return_exceptions=True)
    for row, end in zip(claim.rows, ends, strict=True):
        if isinstance(end, Exception):
            log.error("an endpoint could not be served", endpoint=row["name"], exc_info=end)


async def _serve(my: Context, claim: Claim, client: Client, row: RowMapping, until: float) -> None:
    """Send what is due to one endpoint, then give it back."""
    endpoint = webhook_statements.known(row)
    if row["expiries"] >= MAX_EXPIRIES:
        log.error("endpoint set aside: it took its process down", endpoint=endpoint.name)
        later = claim.now + _BROKEN_ENDPOINT
        await asyncio.to_thread(webhook_statements.set_aside, my.engine, claim, endpoint.id, later)
        return
    limit = my.settings.webhooks.max_in_flight
    begin = partial(webhook_statements.begin, my.engine, claim, endpoint.id, limit)
    # An attempt that begins now has to end before the lease does.
    while time.monotonic() + my.settings.webhooks.timeout_seconds < until:
        deliveries, now = await asyncio.to_thread(begin)
        if not deliveries:
            break
        outcomes = await asyncio.gather(
            *(_attempt(my, client, endpoint, delivery, now) for delivery in deliveries)
        )
        await asyncio.to_thread(webhook_statements.record, my.engine, endpoint.id, outcomes)
    if await asyncio.to_thread(webhook_statements.give_back, my.engine, claim, endpoint.id):
        await asyncio.to_thread(my.wakes.wake, "deliver")


async def _attempt(
    my: Context,
    client: Client,
    endpoint: webhooks.Endpoint,
    delivery: webhooks.Delivery,
    now: datetime,
) -> webhooks.AttemptOutcome:
    settings = my.settings.webhooks
    response = await webhooks.send(client, endpoint, delivery, now, settings)
    outcome = webhooks.decide(delivery, response, _came_at(now, response), settings)
    log.info("delivered", endpoint=endpoint.name, webhook_id=delivery.webhook_id,
             attempt=delivery.attempt, result=outcome.state, reason=outcome.reason)  # fmt: skip
    return outcome


def _claim(my: Context, stage: Stage, limit: int) -> Claim | None:
    """Take up a wake-up: claim a batch, and pass the word on before working when there is more."""
    my.wakes.taken(stage)
    claim = claims.claim(my.engine, stage, limit, my.settings.lease(stage))
    if claim and claim.full:
        my.wakes.wake(stage)
    return claim


async def _side_by_side(
    my: Context,
    claim: Claim,
    one: Callable[[Client, RowMapping], Awaitable[Outcome]],
    commit: Callable[[list[Outcome]], None],
) -> None:
    """Do a batch's rows at once; what is not done by its deadline is given back."""
    async with Client(my.settings.http) as client, Groups(commit) as groups:

        async def work(row: RowMapping) -> None:
            try:
                groups.add(await one(client, row))
            except Exception:
                # It stays leased, and is claimed alone when the lease has run out.
                log.exception("a row could not be worked on", stage=claim.stage, row=row["id"])

        running = {asyncio.create_task(work(row)): row for row in claim.rows}
        _, late = await asyncio.wait(running, timeout=claim.work_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    _release(my, claim, [running[task] for task in late])


def _in_time(my: Context, claim: Claim) -> Iterable[RowMapping]:
    """A batch's rows one by one until its deadline; the rest is given back."""
    until = time.monotonic() + claim.work_seconds
    for position, row in enumerate(claim.rows):
        if time.monotonic() > until:
            _release(my, claim, claim.rows[position:])
            return
        yield row


def _each(one: Callable[[RowMapping], Outcome], rows: Iterable[RowMapping]) -> Iterable[Outcome]:
    """The outcome of each row; a row that raises keeps no other from its outcome."""
    for row in rows:
        outcome = _try(one, row)
        if outcome is not None:
            yield outcome


def _release(my: Context, claim: Claim, rows: Iterable[RowMapping]) -> None:
    with store.writing(my.engine) as connection:
        due_at = read_now(connection) + _RELEASE
        for row in rows:
            claims.release(connection, claim.stage, row["id"], claim.token, due_at)


def _came_at(asked_at: datetime, response: Response | None) -> datetime:
    """When a response was there; waits count from then, not from when it was asked for."""
    return asked_at + timedelta(seconds=response.elapsed_seconds) if response else asked_at


def _wake_key(stage: str) -> str:
    return f"{KEY_PREFIX}wake:{stage}"


def _task(stage: str) -> Task:
    return current_app.tasks[f"kabar.{stage}"]
