"""Clean one page, or one file, outside the service: nothing is stored."""

import asyncio
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from worker import articles
from worker import settings as configuration
from worker.articles import Article, CleanArticle, ExtractionError, Page, furniture
from worker.cli.output import CommandError, open_store
from worker.errors import KabarError
from worker.http import Client, redacted, robots
from worker.http.politeness import host_of
from worker.http.robots import Robots
from worker.language.identify import identify
from worker.settings import Settings
from worker.store import hosts

_STDIN = "-"
_LARGEST_FILE = 50_000_000


def pages_of(source: str, url: str | None, settings: Settings) -> tuple[Page, ...]:
    """The pages of the article at `source`: a URL, fetched with all its parts; or a file (`-` for
    standard input) that holds the page at `url`.

    Raises `CommandError` with the reason when there are none.
    """
    if source == _STDIN or Path(source).is_file():
        return (Page(url or "", _read(source), None, datetime.now(UTC)),)
    if not source.lower().startswith(("http://", "https://")):
        raise CommandError(f"{source} is neither a URL (http://, https://) nor a file")
    return asyncio.run(_Visit(settings).make(source))


def document(article: CleanArticle) -> dict[str, Any]:
    """`article` as JSON has it; its language is the one that its text is in."""
    fields = asdict(replace(article, blocks=()))
    del fields["blocks"]
    text = article.text
    language = identify(f"{article.title}\n{text}", article.language)
    return {**fields, "text": text, "word_count": article.word_count, "language": language}


def explained(pages: tuple[Page, ...]) -> list[dict[str, Any]]:
    """Each block of the pages, in their order: its text, whether it is kept, and by which rule.

    Raises `CommandError` with the reason when there is no article.
    """
    repeated = _learned(pages)
    try:
        return [
            {"part": number, **asdict(block)}
            for number, page in enumerate(pages, start=1)
            for block in articles.explain(page, repeated=repeated)
        ]
    except ExtractionError as error:
        raise CommandError(f"{error.reason}: {error.detail}") from None


def clean(pages: tuple[Page, ...]) -> CleanArticle:
    """The article on `pages`. Raises `CommandError` with the reason when there is none."""
    try:
        return articles.assemble(pages, repeated=_learned(pages))
    except ExtractionError as error:
        raise CommandError(f"{error.reason}: {error.detail}") from None


def _learned(pages: tuple[Page, ...]) -> frozenset[str]:
    """The keys of the site's furniture, where there is a store that knows it."""
    settings, host = configuration.load(), host_of(pages[0].url)
    if not host or (settings.store.url is None and not settings.data_dir.is_dir()):
        return frozenset()
    try:
        with open_store() as engine:
            return furniture.of(hosts.furniture(engine, {host}).get(host, {}))
    except KabarError as error:
        typer.echo(f"without what was learned of the site: {error}", err=True)
        return frozenset()


def _read(source: str) -> bytes:
    try:
        body = sys.stdin.buffer.read() if source == _STDIN else Path(source).read_bytes()
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}") from None
    if len(body) > _LARGEST_FILE:
        raise CommandError(f"{source}: larger than {_LARGEST_FILE:,} bytes")
    return body


class _Visit:
    """One visit to an article: its requests come one after the other, spaced."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules: dict[str, Robots] = {}

    async def make(self, url: str) -> tuple[Page, ...]:
        async with Client(self._settings.http) as client:
            outcome = await self._fetch(client, url)
            if not outcome.pages:
                raise CommandError(f"{redacted(url)}: {outcome.reason}: {outcome.detail}")

            async def ask(url: str) -> Page | None:
                pages = (await self._fetch(client, url)).pages
                return pages[0] if pages else None

            (first,) = outcome.pages
            if elsewhere := articles.elsewhere(first):
                first = await ask(elsewhere) or first
            return (await articles.gather(first, ask)).pages

    async def _fetch(self, client: Client, url: str, hosts: int = 0) -> articles.FetchOutcome:
        settings, now = self._settings, datetime.now(UTC)
        article = Article(0, url, attempts=len(settings.fetch.retry_seconds) + 1)  # no other try
        if host := host_of(url):
            rules = await self._rules_of(client, host, url)
            agent = settings.http.user_agent
            denied = articles.forbidden(article, rules, agent, now, settings.fetch)
            if denied:
                return denied
            spacing = settings.politeness.spacing_seconds
            await asyncio.sleep(max(spacing, rules.crawl_delay(agent) or 0.0))
        response = await articles.request(client, url)
        if response.onward and hosts < settings.http.max_redirects:
            return await self._fetch(client, response.onward, hosts + 1)
        return articles.decide(article, response, now, settings.fetch)

    async def _rules_of(self, client: Client, host: str, url: str) -> Robots:
        if host not in self._rules:
            self._rules[host] = Robots(await robots.ask(client, url, None, datetime.now(UTC)))
        return self._rules[host]
