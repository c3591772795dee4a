"""One thin task a stage: claim, call the room, commit, wake the next stage.

A message only says that there may be work in a stage; what to do is in the store. So a message may
come twice or never: the dispatcher finds whatever is due and wakes its stage again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import chain

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
from worker.language.select import Selector
from worker.settings import PollSettings, Settings, Stage
from worker.store import articles as article_statements
from worker.store import claims, pages, polls, processes, subscriptions, tallies
from worker.store import feeds as feed_statements
from worker.store import stories as story_statements
from worker.store import translations as translation_statements
from worker.store import webhooks as webhook_statements
from worker.store.claims import MAX_EXPIRIES, Claim
from worker.store.groups import Joint, commit_alongside, commit_in_groups
from worker.store.translations import StoredTranslations
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
_BROKEN_UPDATE = timedelta(hours=1)
_AWAITED = timedelta(days=7)  # after which no endpoint waits for more publishers of a story
_MOST_TRANSLATED = 2_000_000  # bytes of the answer of a translation service or a model
_TOGETHER = 0.005  # seconds that an endpoint's attempts wait for others', to be stored with them
_MOST_MESSENGERS = 2  # at a time in a process; each has 55 MB


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

    @cached_property
    def translators(self) -> translation.Chain:
        """The engines that are set up; made when first asked for."""
        cache = StoredTranslations(self.engine)
        return translation.open_chain(self.settings, self._post, cache)

    @cached_property
    def selector(self) -> Selector | None:
        """Who chooses the sentences of summaries, where a model does."""
        is_on = self.settings.process.summary_by == "llm"
        return Selector(self.settings, self._post) if is_on else None

    def stop(self, seconds: float) -> None:
        """As for all contexts; the engines end too."""
        if "translators" in vars(self):
            vars(self).pop("translators").close()
        super().stop(seconds)

    def _post(
        self, url: str, body: bytes, *, headers: Mapping[str, str], timeout_seconds: float
    ) -> Response:
        """Ask a service that the user has named; for the task's own thread."""
        asked = self.client.post(
            url,
            body,
            headers=headers,
            max_bytes=_MOST_TRANSLATED,
            timeout_seconds=timeout_seconds,
            allow_private=True,
        )
        return self.network.call(asked, seconds=timeout_seconds + _MARGIN)

    @cached_property
    def messengers(self) -> asyncio.Semaphore:
        """Who may start a process that sends messages. Lives on the network's loop."""
        return asyncio.Semaphore(_MOST_MESSENGERS)


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
    targets = my.settings.translate.targets
    if overdue := batches.attempt(translation_statements.publish_overdue, my.engine, targets):
        log.warning("published without their translations, which are late", articles=overdue)
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
    webhook_statements.stop_waiting(my.engine, _AWAITED)
    translation_statements.forget(my.engine)
    if translation_statements.is_anything_to_backfill(my.engine, _backfill_age(my)):
        my.wakes.wake("translate")  # where the engines are
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
    clock = Clock(claim)
    sources = {source.article_id: source for source in article_statements.sources(my.engine, claim)}
    wait = timedelta(seconds=my.settings.translate.wait_seconds)

    def one(row: RowMapping) -> language.ProcessOutcome:
        source = sources[row["id"]]
        with logs.bind(article=row["id"]):
            if row["expiries"] >= MAX_EXPIRIES:
                outcome = language.crashed(source, my.settings)
            else:
                outcome = _told_by_model(my, language.process(source, my.settings), clock)
            log.info("processed", language=outcome.language, words=outcome.article.word_count,
                     reason=outcome.reason)  # fmt: skip
        return outcome

    def commit(outcomes: list[language.ProcessOutcome]) -> None:
        article_statements.save_processed(my.engine, claim, outcomes, wait)
        for stage in dict.fromkeys(outcome.next_stage for outcome in outcomes):
            my.wakes.wake(stage)

    # Alongside: while a model thinks, what is done already goes on.
    store_all = commit_alongside if my.selector else commit_in_groups
    store_all(batches.each(one, batches.in_time(my, claim)), commit)


def _told_by_model(
    my: Context, outcome: language.ProcessOutcome, clock: Clock
) -> language.ProcessOutcome:
    """With the summary that a model chose, where it is to and does."""
    if not my.selector:
        return outcome
    article, left = outcome.article, clock.seconds_left - _MARGIN
    summary = my.selector.select(article.text, outcome.language, article.title, seconds=left)
    return replace(outcome, summary=summary) if summary else outcome


@shared_task(name="kabar.translate", ignore_result=True)
def translate() -> None:
    """Translate titles and summaries of a batch of articles; of earlier ones, while none wait."""
    my = context()
    if not (claim := _claim(my, "translate", my.settings.translate.batch)):
        _backfill(my)
        return

    def commit(outcomes: list[translation.TranslateOutcome]) -> None:
        article_statements.save_translated(my.engine, claim, outcomes)
        my.wakes.wake("publish")

    commit_alongside(_translated(my, claim), commit)


def _translated(my: Context, claim: Claim) -> Iterator[translation.TranslateOutcome]:
    """What comes of a claim's rows until its deadline; the rest is given back."""
    settings, rows = my.settings.translate, {row["id"]: row for row in claim.rows}
    texts = {row_id: article_statements.to_translate(row) for row_id, row in rows.items()}
    fatal = [row_id for row_id, row in rows.items() if row["expiries"] >= MAX_EXPIRIES]
    ended = [translation.crashed(texts.pop(row_id), settings.targets) for row_id in fatal]
    made = my.translators.translate(list(texts.values()), claim.work_seconds)
    for outcome in chain(ended, made):
        row = rows.pop(outcome.article_id)
        settled = translation.settle(outcome, row["attempts"], settings.retry_seconds)
        log.info("translated", article=row["id"], result=settled.result, reason=settled.reason,
                 detail=settled.detail)  # fmt: skip
        yield settled
    batches.left_over(my, claim, rows)


def _backfill(my: Context) -> None:
    """Take up articles again that were left untranslated, where an engine can do them by now."""
    settings = my.settings.translate

    def knows(language: str) -> bool:
        return any(my.translators.knows(language, target) for target in settings.targets)

    taken = translation_statements.backfill_known(
        my.engine, knows, _backfill_age(my), settings.batch
    )
    if taken:
        log.info("earlier articles are translated now", articles=len(taken))
        my.wakes.wake("translate")


def _backfill_age(my: Context) -> timedelta:
    return timedelta(days=my.settings.translate.backfill_days)


@shared_task(name="kabar.publish", ignore_result=True)
def publish() -> None:
    """Let a batch of articles open or join stories, and tell of those that changed."""
    my = context()
    claim = _claim(my, "publish", my.settings.publish.batch)
    for published in _publish(my, claim) if claim else ():
        log.info("published", article=published.article_id, story=published.story_id,
                 result=published.result)  # fmt: skip
    if _tell_updates(my) or claim:
        my.wakes.wake("deliver")


def _tell_updates(my: Context) -> bool:
    """Tell of stories that changed, where that is due; whether there were any."""
    limit = my.settings.publish.batch
    due = story_statements.updates_due(my.engine, limit)
    for story_id in due:
        try:
            told = story_statements.tell_update(my.engine, story_id)
        except Exception:  # one holds up no other
            log.exception("could not tell how a story changed", story=story_id)
            batches.attempt(story_statements.put_off, my.engine, story_id, _BROKEN_UPDATE)
        else:
            log.info("looked at what changed", story=story_id, told=told)
    if len(due) == limit:
        my.wakes.wake("publish")
    return bool(due)


def _publish(my: Context, claim: Claim) -> list[story_statements.Published]:
    """All in one transaction; if that fails, each alone, so that one holds up no other."""
    wait = timedelta(seconds=my.settings.webhooks.update_wait_seconds)
    try:
        return story_statements.publish(my.engine, claim, wait)
    except Exception:
        log.exception("a batch could not be published; its articles are tried one by one")
    published = []
    for row in claim.rows:
        alone = replace(claim, rows=[row])
        published += batches.attempt(story_statements.publish, my.engine, alone, wait) or []
    return published


@shared_task(name="kabar.deliver", ignore_result=True)
def deliver() -> None:
    """Send what is due to a batch of endpoints, side by side."""
    my = context()
    if claim := _claim(my, "deliver", my.settings.webhooks.batch):
        my.network.run(_deliver(my, claim))


async def _deliver(my: Context, claim: Claim) -> None:
    until = time.monotonic() + claim.work_seconds
    async with Joint(partial(_next_rounds, my, claim), seconds=_TOGETHER) as rounds:
        served = [_serve(my, claim, row, until, rounds) for row in claim.rows]
        try:
            ends = await asyncio.gather(*served, return_exceptions=True)
        except asyncio.CancelledError:  # this process ends: another one need not wait for the lease
            ended = {row["id"]: webhook_statements.Round((), 0) for row in claim.rows}
            await asyncio.to_thread(webhook_statements.next_rounds, my.engine, claim, ended)
            raise
    for row, end in zip(claim.rows, ends, strict=True):
        if isinstance(end, Exception):
            log.error("an endpoint could not be served", endpoint=row["name"], exc_info=end)


_Attempts = tuple[Sequence[webhooks.Delivery], datetime]


def _next_rounds(
    my: Context, claim: Claim, rounds: Mapping[int, webhook_statements.Round]
) -> dict[int, _Attempts]:
    begun = webhook_statements.next_rounds(my.engine, claim, rounds)
    if begun.is_due:
        my.wakes.wake("deliver")
    return {key: (begun.deliveries.get(key, ()), begun.now) for key in rounds}


async def _serve(
    my: Context,
    claim: Claim,
    row: RowMapping,
    until: float,
    rounds: Joint[webhook_statements.Round, _Attempts],
) -> None:
    """Send what is due to one endpoint, then give it back."""
    endpoint = webhook_statements.known(row)
    if row["expiries"] >= MAX_EXPIRIES:
        log.error("endpoint set aside: it took its process down", endpoint=endpoint.name)
        later = claim.now + _BROKEN_ENDPOINT
        await asyncio.to_thread(webhook_statements.set_aside, my.engine, claim, endpoint.id, later)
        return
    most = my.settings.webhooks.max_in_flight if endpoint.kind == "webhook" else 1
    outcomes: Sequence[webhooks.AttemptOutcome] = ()
    async with _sender(my, endpoint) as send:
        with rounds.joined(endpoint.id):
            while True:
                # An attempt that begins now has to end before the lease does.
                is_time = time.monotonic() + my.settings.webhooks.timeout_seconds < until
                ended = webhook_statements.Round(outcomes, most if is_time else 0)
                deliveries, now = await rounds.ask(endpoint.id, ended)
                if not deliveries:
                    return
                outcomes = await asyncio.gather(
                    *(_attempt(my, endpoint, delivery, now, send) for delivery in deliveries)
                )


_Send = Callable[[webhooks.Delivery, datetime], Awaitable[Response | None]]


@asynccontextmanager
async def _sender(my: Context, endpoint: webhooks.Endpoint) -> AsyncIterator[_Send]:
    """What sends one delivery to an endpoint."""
    settings = my.settings.webhooks
    if endpoint.kind == "webhook":
        yield lambda delivery, now: webhooks.send(my.client, endpoint, delivery, now, settings)
    else:
        async with my.messengers, webhooks.Messenger(my.settings.http) as messenger:
            yield lambda delivery, _: messenger.send(endpoint, delivery, settings)


async def _attempt(
    my: Context,
    endpoint: webhooks.Endpoint,
    delivery: webhooks.Delivery,
    now: datetime,
    send: _Send,
) -> webhooks.AttemptOutcome:
    settings = my.settings.webhooks
    response = await send(delivery, now)
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
