import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp
import feedparser
import pytest

from worker.demo import generator, newsroom
from worker.demo.article import written
from worker.demo.newsroom import FEED_ITEMS, Newsroom

Visit = Callable[[Newsroom, aiohttp.ClientSession], Awaitable[None]]


def visiting(visit: Visit, room: Newsroom | None = None) -> None:
    """Run `visit` in an open newsroom."""

    async def main() -> None:
        async with room or Newsroom() as opened, aiohttp.ClientSession() as client:
            await visit(opened, client)

    asyncio.run(main())


async def items(client: aiohttp.ClientSession, url: str) -> list[feedparser.FeedParserDict]:
    async with client.get(url) as response:
        assert response.status == 200
        feed = feedparser.parse(await response.read())
    assert not feed.bozo
    return list(feed.entries)


def test_sites_are_hosts_of_their_own() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        hosts = {urlsplit(url).netloc for url in room.feed_urls}
        assert len(hosts) == len(room.sites)
        for url in room.feed_urls:
            assert await items(client, url) == []
            async with client.get(url.replace("feed.xml", "robots.txt")) as response:
                assert (response.status, "Allow: /" in await response.text()) == (200, True)

    visiting(visit)


def test_without_addresses_of_their_own_sites_have_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newsroom, "_address", lambda number: "192.0.2.1")  # nobody's (RFC 5737)

    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        assert {urlsplit(url).hostname for url in room.feed_urls} == {"127.0.0.1"}
        assert len({urlsplit(url).port for url in room.feed_urls}) == len(room.sites)
        publications = [room.publish(article) for article in written()]
        for publication in publications:
            feed = await items(client, room.feed_urls[publication.site])
            assert [item.link for item in feed] == [publication.url]

    visiting(visit)


def test_a_published_article_is_in_the_feed_and_on_its_page() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        for article in written():
            publication = room.publish(article)
            (item,) = await items(client, room.feed_urls[article.site])
            assert (item.title, item.summary) == (article.title, article.summary)
            assert (item.link, item.id) == (publication.url, publication.url)
            assert item.published_parsed[:6] == publication.at.timetuple()[:6]
            assert not room.seen(publication)
            async with client.get(item.link) as response:
                page = await response.text()
            assert article.paragraphs[-1] in page
            assert f'<link rel="canonical" href="{publication.url}">' in page
            assert room.seen(publication)
            assert room.requests[publication.url] == 1

    visiting(visit)


def test_what_was_not_published_is_not_found() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        url = room.publish(written()[0]).url
        for wrong in (url + "x", url.replace("/semarang-raya/", "/other/"), url + "/more"):
            async with client.get(wrong) as response:
                assert response.status == 404

    visiting(visit)


def test_an_unchanged_feed_is_304_until_it_changes() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        url = room.feed_urls[0]
        first, second = itertools.islice(generator.articles(1, sites=1), 2)
        room.publish(first)

        async def get(**headers: str) -> aiohttp.ClientResponse:
            async with client.get(url, headers=headers) as response:
                await response.read()
                return response

        full = await get()
        assert full.status == 200
        etag, modified = full.headers["ETag"], full.headers["Last-Modified"]
        for headers in (
            {"If-None-Match": etag},
            {"If-None-Match": f'"other", {etag}'},
            {"If-None-Match": f"W/{etag}"},
            {"If-Modified-Since": modified},
        ):
            unchanged = await get(**headers)
            assert (unchanged.status, unchanged.headers["ETag"]) == (304, etag), headers
        # Not the date but the tag decides where both are sent (RFC 9110, 13.2.2).
        both = {"If-None-Match": '"other"', "If-Modified-Since": modified}
        assert (await get(**both)).status == 200

        room.publish(second)
        changed = await get(**{"If-None-Match": etag})
        assert (changed.status, changed.headers["ETag"] != etag) == (200, True)
        assert len(await items(client, url)) == 2

    visiting(visit)


def test_a_repeat_is_the_same_text_at_another_site() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        earlier = generator.article(1, 0, language="id")
        room.publish(earlier)
        article = written()[0]
        origin = room.publish(article)
        copy = room.repeat(article)
        assert (copy.site, copy.repeats) == (2, origin.url)
        assert urlsplit(copy.url).netloc != urlsplit(origin.url).netloc
        (item,) = await items(client, room.feed_urls[copy.site])
        assert (item.title, item.link) == (article.title, copy.url)
        texts = []
        for publication in (origin, copy):
            async with client.get(publication.url) as response:
                page = await response.text()
            assert f'<link rel="canonical" href="{publication.url}">' in page
            texts.append(page.partition("<article")[2].partition("</article>")[0])
        assert texts[0] == texts[1]
        assert article.paragraphs[0] in texts[0]
        assert earlier.title in texts[0]  # the promotion line came along

    visiting(visit)


def test_a_repeat_needs_another_site_of_the_language() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        english = written()[1]
        room.publish(english)
        with pytest.raises(LookupError):
            room.repeat(english)

    visiting(visit)


def test_an_update_keeps_url_and_date_and_changes_a_paragraph() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        article = written()[1]
        before = room.publish(article)
        (old,) = await items(client, room.feed_urls[1])
        async with client.get(before.url) as response:
            await response.read()
        assert room.seen(before)
        revised = article.revised()
        after = room.update(revised)
        assert not room.seen(after)
        (new,) = await items(client, room.feed_urls[1])
        assert (new.link, new.id, new.published) == (old.link, old.id, old.published)
        assert "updated" not in old
        assert new.updated == after.changed_at.isoformat()
        async with client.get(after.url) as response:
            page = await response.text()
        assert "updated this article" in page
        assert article.paragraphs[-1] not in page
        assert room.publications == (after,)
        assert room.seen(after)

    visiting(visit)


def test_the_feed_lists_the_latest_only() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        series = generator.articles(1, sites=1)
        all_of_them = [room.publish(article) for article in itertools.islice(series, 45)]
        listed = [item.link for item in await items(client, room.feed_urls[0])]
        assert listed == [publication.url for publication in all_of_them[: -FEED_ITEMS - 1 : -1]]
        async with client.get(all_of_them[0].url) as response:
            assert response.status == 200
        assert room.publications == tuple(all_of_them)

    visiting(visit)


def test_many_sites_of_given_weight_on_a_given_port(free_port: int) -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        assert len(set(room.feed_urls)) == 300
        last_two = itertools.islice(generator.articles(1, sites=300), 298, 300)
        for publication in map(room.publish, last_two):
            assert len(await items(client, room.feed_urls[publication.site])) == 1
            async with client.get(publication.url) as response:
                assert len(await response.read()) > 38_000

    sites = newsroom.sites(300)
    assert len({site.name for site in sites}) == 300
    visiting(visit, Newsroom(sites, port=free_port, weight_bytes=40_000))


def test_a_port_in_use_is_an_error() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        taken = urlsplit(room.feed_urls[0])
        with pytest.raises(OSError, match="in use"):
            await Newsroom(port=taken.port or 0).__aenter__()
        with socket.create_connection((taken.hostname, taken.port)):
            pass  # and the first one still answers

    visiting(visit)
