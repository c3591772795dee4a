"""How pages of articles are fetched: when their hosts may be asked, and as robots.txt has it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping

from worker import articles, batches, logs
from worker.articles import Article, FetchOutcome, Page
from worker.batches import Clock, Context, Token
from worker.http import Response, robots
from worker.http.politeness import Ask, host_of
from worker.http.robots import Robots, RobotsFile
from worker.store import articles as statements
from worker.store import hosts
from worker.store.claims import MAX_EXPIRIES, Claim

log = logs.get(__name__)

_MARGIN = 5.0  # seconds that a token outlives its request


class Visits:
    """Those to the pages of a claim's articles; `commit` stores what they come to, in groups.

    An article whose host wants to be left alone, or is busy, waits as long as a story can; one
    whose page we are not to fetch is told from what the feed said.
    """

    def __init__(
        self, context: Context, claim: Claim, commit: Callable[[list[FetchOutcome]], None]
    ) -> None:
        self._context = context
        self._claim = claim
        self._commit = commit
        self._clock = Clock(claim)
        self._rows = {row["id"]: row for row in claim.rows}
        self._articles = {row["id"]: statements.to_fetch(row) for row in claim.rows}
        self._files: dict[str, RobotsFile] = {}
        self._ruled: dict[int, str] = {}
        self._tokens: dict[int, Token] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def make(self) -> None:
        """Make them, side by side; what is not done in time is given back."""
        told = self._without_request()
        urls = {one.id: one.url for one in self._articles.values() if one.url}
        urls = {article_id: url for article_id, url in urls.items() if article_id not in told}
        resting = await batches.resting(self._context, self._claim, urls)
        told |= await self._put_off(resting)
        awake = {article_id: url for article_id, url in urls.items() if article_id not in resting}
        await self._read_robots(awake)
        lacking = robots.missing(self._files, self._ruled.values(), self._clock.now())
        ready = [row_id for row_id in awake if host_of(self._ruled.get(row_id, "")) not in lacking]
        works = [self._go(ready, told), *(self._ask(host, url) for host, url in lacking.items())]
        for end in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(end, Exception):
                # Their rows stay leased, and are claimed again when the lease has run out.
                log.error("articles could not be fetched", exc_info=end)

    def _without_request(self) -> dict[int, FetchOutcome]:
        now, settings = self._claim.now, self._context.settings.fetch
        crashed = {
            article.id: articles.crashed(article, now)
            for article in self._articles.values()
            if self._rows[article.id]["expiries"] >= MAX_EXPIRIES
        }
        without_link = {
            article.id: articles.decide(article, None, now, settings)
            for article in self._articles.values()
            if not article.url
        }
        return without_link | crashed

    async def _put_off(self, later: Mapping[int, datetime]) -> dict[int, FetchOutcome]:
        """Give articles back until then; the outcomes of those that cannot wait so long."""
        now = self._clock.now()
        told = {
            article_id: outcome
            for article_id, until in later.items()
            if (outcome := articles.put_off(self._articles[article_id], until, now))
        }
        waiting = {row_id: until for row_id, until in later.items() if row_id not in told}
        await batches.put_off(self._context, self._claim, waiting, counts=False)
        return told

    async def _read_robots(self, urls: Mapping[int, str]) -> None:
        """Find out whose robots.txt counts, and what the store has of them."""
        engine = self._context.engine
        feeds = {row["feed_id"] for row in self._claim.rows if row["feed_id"]}
        exempt = await asyncio.to_thread(hosts.without_robots, engine, feeds)
        self._ruled = {
            row_id: url
            for row_id, url in urls.items()
            if self._rows[row_id]["feed_id"] not in exempt
        }
        names = {host_of(url) for url in self._ruled.values()}
        found = await asyncio.to_thread(hosts.known, engine, names)
        self._files = {host: row.robots for host, row in found.items() if row.robots}

    async def _ask(self, host: str, url: str) -> None:
        """Ask a host for its robots.txt, then for its pages; no other host waits for that."""
        client, engine = self._context.client, self._context.engine
        file = await robots.ask(client, url, self._files.get(host), self._clock.now())
        self._files[host] = file
        await asyncio.to_thread(hosts.save_robots, engine, host, file)
        await self._go([row_id for row_id, url in self._ruled.items() if host_of(url) == host])

    async def _go(
        self, article_ids: Collection[int], told: Mapping[int, FetchOutcome] | None = None
    ) -> None:
        """Fetch the pages of these articles; `told` are the outcomes of others."""
        ends, spacings = self._by_robots(article_ids)
        urls = {row_id: self._articles[row_id].url or "" for row_id in spacings}
        tokens, later = await batches.admitted(
            self._context, self._claim, urls, self._clock, spacings
        )
        self._tokens |= tokens
        ends |= {**(told or {}), **await self._put_off(later)}

        async def one(row: RowMapping) -> FetchOutcome:
            return await self._visit(row["id"], ends.get(row["id"]))

        rows = [self._rows[row_id] for row_id in (*tokens, *ends)]
        await batches.side_by_side(
            self._context, self._claim, rows, one, self._commit, self._clock, tokens
        )

    def _by_robots(
        self, article_ids: Iterable[int]
    ) -> tuple[dict[int, FetchOutcome], dict[int, float]]:
        """The outcomes of those whose page we are not to fetch, and for the others the seconds
        that their site asks for between two requests.
        """
        agent = self._context.settings.http.user_agent
        rules: dict[str, Robots] = {}
        forbidden: dict[int, FetchOutcome] = {}
        spacings: dict[int, float] = {}
        for row_id in article_ids:
            host = host_of(self._ruled.get(row_id, ""))
            if host not in self._files:
                spacings[row_id] = 0.0
                continue
            rule = rules.setdefault(host, Robots(self._files[host]))
            outcome = articles.forbidden(
                self._articles[row_id], rule, agent, self._clock.now(), self._context.settings.fetch
            )
            if outcome:
                forbidden[row_id] = outcome
            else:
                spacings[row_id] = rule.crawl_delay(agent) or 0.0
        return forbidden, spacings

    async def _visit(self, article_id: int, end: FetchOutcome | None) -> FetchOutcome:
        article = self._articles[article_id]
        with logs.bind(article=article_id):
            outcome = end
            if outcome is None:
                outcome = await self._fetch(article)
                if outcome.pages:
                    outcome = await self._complete(article, outcome)
            log.info("fetched", url=article.url, result=outcome.result, reason=outcome.reason,
                     parts=len(outcome.pages))  # fmt: skip
        return outcome

    async def _fetch(self, article: Article) -> FetchOutcome:
        """What comes of an article's first page; its host has been asked whether it may be had."""
        response = await articles.request(self._context.client, article.url or "")
        return await self._arrive(article, response)

    async def _fetch_more(self, article: Article, url: str) -> FetchOutcome:
        """What comes of one more page of an article; its host is asked as politely as the first."""
        came = await self._ask_in_turn(article, url)
        return came if isinstance(came, FetchOutcome) else await self._arrive(article, came)

    async def _arrive(self, article: Article, response: Response) -> FetchOutcome:
        """What a response means where it does not lead to another host; that one's answer, where
        it does.
        """
        for _ in range(self._context.settings.http.max_redirects):
            if not response.onward:
                break
            came = await self._ask_in_turn(article, response.onward)
            if isinstance(came, FetchOutcome):
                return came
            response = came
        settings = self._context.settings.fetch
        return articles.decide(article, response, self._clock.now(), settings)

    async def _complete(self, article: Article, outcome: FetchOutcome) -> FetchOutcome:
        """Go on from an article's first page to where it leads and to its other parts, one after
        the other.
        """
        rests: dict[str, timedelta] = {}

        async def ask(url: str) -> Page | None:
            came = await self._fetch_more(article, url)
            rests.update(came.cool_downs)
            return came.pages[0] if came.pages else None

        (first,) = outcome.pages
        if url := articles.elsewhere(first):
            led = await self._fetch_more(article, url)
            if not led.counts:  # its host's turn comes: until then this is not the article
                return led
            rests.update(led.cool_downs)
            first = led.pages[0] if led.pages else first
        gathered = await articles.gather(first, ask)
        return replace(articles.completed(outcome, gathered), cool_downs=rests)

    async def _ask_in_turn(self, article: Article, url: str) -> Response | FetchOutcome:
        """The answer to one more request for an article; its outcome where that one cannot be made
        now, or never.
        """
        if token := self._tokens.pop(article.id, None):  # its host may take one at a time only
            await batches.hand_in(self._context, [token])
        spacing = await self._spacing(article, url)
        if isinstance(spacing, FetchOutcome):
            return spacing
        most_seconds = self._context.settings.http.timeout_seconds
        # A lane of its own: behind a hundred first pages of its host no part would come in time.
        ask = Ask(host_of(url), most_seconds + _MARGIN, "parts", str(article.id), spacing)
        turn = await batches.turn(self._context, ask, self._clock)
        if isinstance(turn, timedelta):
            now = self._clock.now()
            return articles.deferred(article, ask.host, now + turn, now)
        try:
            most_seconds = min(most_seconds, batches.seconds_for_one(self._clock))
            client = self._context.client
            return await articles.request(client, url, most_seconds=most_seconds)
        finally:
            await batches.hand_in(self._context, [turn])

    async def _spacing(self, article: Article, url: str) -> float | FetchOutcome:
        """Seconds between two requests to the host of `url` that it asks for; the article's outcome
        where it is not to be asked: its robots.txt says so, or it is to be left alone.
        """
        host, settings, now = host_of(url), self._context.settings, self._clock.now()
        if host != host_of(article.url or ""):
            row = (await asyncio.to_thread(hosts.known, self._context.engine, {host})).get(host)
            if row and row.cool_down_until and row.cool_down_until > now:
                return articles.deferred(article, host, row.cool_down_until, now)
            if row and row.robots:
                self._files.setdefault(host, row.robots)
        if article.id not in self._ruled:
            return 0.0
        rule, agent = await self._rule(host, url), settings.http.user_agent
        there = replace(article, url=url)
        if denied := articles.forbidden(there, rule, agent, self._clock.now(), settings.fetch):
            return replace(denied, detail=denied.detail if rule.unreachable else f"by {host}")
        return rule.crawl_delay(agent) or 0.0

    async def _rule(self, host: str, url: str) -> Robots:
        """What the robots.txt of the host of `url` means; asked for where it is not known."""
        asking = self._asking.setdefault(host, asyncio.Lock())
        async with asking:  # once, however many are led there
            now = self._clock.now()
            if robots.missing(self._files, [url], now):
                file = await robots.ask(self._context.client, url, self._files.get(host), now)
                self._files[host] = file
                await asyncio.to_thread(hosts.save_robots, self._context.engine, host, file)
            return Robots(self._files[host])
