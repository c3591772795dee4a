"""One thin task a stage: claim, call the room, commit, wake the next stage.

A message only says that there may be work in a stage; what to do is in the store. So a message may
come twice or never: the dispatcher finds whatever is due and wakes its stage again.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from celery import Task, current_app, shared_task
from kombu.exceptions import OperationalError
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import RowMapping

from worker import articles, batches, feeds, language, logs, store, webhooks
from worker.batches import Clock
from worker.broker import KEY_PREFIX, redis_url
from worker.errors import KabarError
from worker.feeds import websub
from worker.http import Response, redacted
from worker.http.politeness import Ask, host_of
from worker.language import translate as translation
from worker.settings import PollSettings, Settings, Stage
from worker.store import articles as article_statements
from worker.store import claims, pages, polls, processes, subscriptions, tallies
from worker.store import feeds as feed_statements
from worker.store import stories as story_statements
from worker.store import webhooks as webhook_statements
from worker.store.claims import MAX_EXPIRIES, Claim
from worker.store.groups import commit_in_groups
from worker.visits import Visits

log = logs.get(__name__)

CONTROL = "control"
_TICKS = ("dispatch", "sweep")
_WAKE_SECONDS = 3  # a wake-up that got lost is missed for as long, then the dispatcher repeats it
_MARGIN = 1.0  # seconds by which a request ends before its batch does
_MAX_UNFINISHED = 3  # polls of a feed that their batch's deadline ended, one after the other
_LARGE = 300_000  # bytes of a feed's document
_HUB_SECONDS = 30.0  # that a hub counts as being asked at most
_PATIENCE = 0.25  # seconds; most answers are there by then
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
class Context(batches.Context):
    """What the tasks of this process work with; made after the fork."""

    wakes: Wakes


_context: Context | None = None


def start(settings: Settings, *, patience: float = _PATIENCE) -> None:
    """Set up this process for tasks. Called in each pool process, after its fork."""
    global _context  # noqa: PLW0603 - Celery calls tasks with nothing but their arguments
    assert settings.broker.url is not None
    _context = Context(settings, store.open_engine(settings), patience, Wakes(settings.broker.url))


def stop(seconds: float) -> None:
    """Give what is unfinished in this process `seconds`, then give it back."""
    if _context:
        _context.stop(seconds)


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
    if claim := _claim(my, "poll", my.settings.poll.batch):
        my.network.run(batches.given_back(my, claim, _poll(my, claim)))


async def _poll(my: Context, claim: Claim) -> None:
    clock = Clock(claim)
    ids = [row["id"] for row in claim.rows] if my.settings.websub.callback_url else []
    subscribed = await asyncio.to_thread(subscriptions.known, my.engine, ids)
    known = {
        row["id"]: websub.subscribed(polls.known(row), subscribed.get(row["id"]))
        for row in claim.rows
    }
    given_up = _given_up(my, claim, known)
    requests: dict[int, websub.Request] = {}

    def commit(outcomes: list[feeds.PollOutcome]) -> None:
        saved = polls.save(my.engine, claim, outcomes)
        if saved.articles:
            my.wakes.wake("fetch")
        if saved.events:
            my.wakes.wake("deliver")

    most = claim.work_seconds - _MARGIN

    async def one(row: RowMapping) -> feeds.PollOutcome:
        feed = known[row["id"]]
        if outcome := given_up.get(feed.id):
            log.warning("gave a feed up until it is due again", feed=feed.id,
                        url=redacted(feed.url), reason=outcome.reason)  # fmt: skip
            return outcome
        response = await feeds.request(my.client, feed, most_seconds=most)
        left = clock.seconds_left - _MARGIN
        children = await feeds.request_children(my.client, feed, response, most_seconds=left)
        outcome = await _decide(feed, response, clock.now(), my.settings.poll, children)
        say = log.debug if outcome.result == "unchanged" else log.info
        say("polled", feed=feed.id, url=redacted(feed.url), result=outcome.result,
            reason=outcome.reason)  # fmt: skip
        if request := _to_subscribe(my, outcome, subscribed.get(feed.id), clock.now()):
            requests[feed.id] = request
        return outcome

    urls = {feed.id: feed.url for feed in known.values() if feed.id not in given_up}
    resting = await batches.resting(my, claim, urls)
    awake = {feed_id: url for feed_id, url in urls.items() if feed_id not in resting}
    tokens, later = await batches.admitted(my, claim, awake, clock)
    await batches.put_off(my, claim, resting | later, counts=False)
    rows = [row for row in claim.rows if row["id"] in tokens or row["id"] in given_up]
    await batches.side_by_side(my, claim, rows, one, commit, clock, tokens)
    # Afterwards: a slow hub is to hold up no outcome.
    asks = [_subscribe(my, feed_id, asked, clock) for feed_id, asked in requests.items()]
    for end in await asyncio.gather(*asks, return_exceptions=True):
        if isinstance(end, Exception):
            log.error("a hub could not be asked", exc_info=end)


def _given_up(
    my: Context, claim: Claim, known: Mapping[int, feeds.Feed]
) -> dict[int, feeds.PollOutcome]:
    """The outcomes, by id, of feeds that are not tried again now: their polls never come to an
    end. Without an outcome they would be due again at once, for ever.
    """
    ended: dict[int, feeds.PollOutcome] = {}
    for row in claim.rows:
        feed = known[row["id"]]
        if row["expiries"] >= MAX_EXPIRIES:
            ended[feed.id] = feeds.crashed(feed, claim.now, my.settings.poll)
        elif row["attempts"] > _MAX_UNFINISHED:
            ended[feed.id] = feeds.overdue(feed, claim.now, my.settings.poll)
    return ended


async def _decide(
    feed: feeds.Feed,
    response: Response,
    now: datetime,
    settings: PollSettings,
    children: Sequence[Response],
) -> feeds.PollOutcome:
    # A document of usual size takes 10 ms; one of 5 MB made to be slow, many seconds.
    if len(response.body) < _LARGE and not children:
        return feeds.decide(feed, response, now, settings)
    return await asyncio.to_thread(feeds.decide, feed, response, now, settings, children)


def _to_subscribe(
    my: Context, outcome: feeds.PollOutcome, known: websub.Subscription | None, now: datetime
) -> websub.Request | None:
    """What the feed's hub is to be asked, if it has one and it is time to."""
    without_hub = outcome.result == "changed" and outcome.hub is None
    if outcome.result == "failed" or without_hub:
        return None
    return websub.plan(outcome.hub, known, now, my.settings.websub)


async def _subscribe(my: Context, feed_id: int, request: websub.Request, clock: Clock) -> None:
    """Have the feed's hub push its news; a hub that is busy is asked after the next poll."""
    host = host_of(request.hub)
    # One place for all: who comes after the next poll would not keep one of its own, and places
    # that are not taken keep all others of a hub with many feeds waiting.
    (admission,) = await my.politeness.admit([Ask(host, _HUB_SECONDS, "websub", "whoever")])
    if not admission.token:
        return
    try:
        if not await asyncio.to_thread(subscriptions.asked, my.engine, feed_id, request):
            return
        answer = await websub.subscribe(my.client, request, clock.now())
        log.info("asked a hub", feed=feed_id, hub=redacted(request.hub),
                 accepted=answer.accepted, detail=answer.detail)  # fmt: skip
        if not answer.accepted:
            await asyncio.to_thread(subscriptions.failed, my.engine, request, answer)
    finally:
        await my.politeness.release([(host, admission.token)])


@shared_task(name="kabar.fetch", ignore_result=True)
def fetch() -> None:
    """Fetch the pages of a batch of articles, side by side."""
    my = context()
    if not (claim := _claim(my, "fetch", my.settings.fetch.batch)):
        return

    def commit(outcomes: list[articles.FetchOutcome]) -> None:
        article_statements.save_fetched(my.engine, claim, outcomes)
        my.wakes.wake("process")

    my.network.run(batches.given_back(my, claim, Visits(my, claim, commit).make()))


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

    commit_in_groups(batches.each(one, batches.in_time(my, claim)), commit)


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

    commit_in_groups(batches.each(one, batches.in_time(my, claim)), commit)


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
        published += batches.attempt(story_statements.publish, my.engine, alone) or []
    return published


@shared_task(name="kabar.deliver", ignore_result=True)
def deliver() -> None:
    """Send what is due to a batch of endpoints, side by side."""
    my = context()
    if claim := _claim(my, "deliver", my.settings.webhooks.batch):
        my.network.run(_deliver(my, claim))


async def _deliver(my: Context, claim: Claim) -> None:
    until = time.monotonic() + claim.work_seconds
    served = [_serve(my, claim, row, until) for row in claim.rows]
    try:
        ends = await asyncio.gather(*served, return_exceptions=True)
    except asyncio.CancelledError:  # this process ends: another one need not wait for the lease
        for row in claim.rows:
            await asyncio.to_thread(webhook_statements.give_back, my.engine, claim, row["id"])
        raise
    for row, end in zip(claim.rows, ends, strict=True):
        if isinstance(end, Exception):
            log.error("an endpoint could not be served", endpoint=row["name"], exc_info=end)


async def _serve(my: Context, claim: Claim, row: RowMapping, until: float) -> None:
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
            *(_attempt(my, endpoint, delivery, now) for delivery in deliveries)
        )
        await asyncio.to_thread(webhook_statements.record, my.engine, endpoint.id, outcomes)
    if await asyncio.to_thread(webhook_statements.give_back, my.engine, claim, endpoint.id):
        await asyncio.to_thread(my.wakes.wake, "deliver")


async def _attempt(
    my: Context,
    endpoint: webhooks.Endpoint,
    delivery: webhooks.Delivery,
    now: datetime,
) -> webhooks.AttemptOutcome:
    settings = my.settings.webhooks
    response = await webhooks.send(my.client, endpoint, delivery, now, settings)
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


def _came_at(asked_at: datetime, response: Response | None) -> datetime:
    """When a response was there; waits count from then, not from when it was asked for."""
    return asked_at + timedelta(seconds=response.elapsed_seconds) if response else asked_at


def _wake_key(stage: str) -> str:
    return f"{KEY_PREFIX}wake:{stage}"


def _task(stage: str) -> Task:
    return current_app.tasks[f"kabar.{stage}"]
