import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp
import feedparser
import pytest
from lxml import html

from worker import feeds
from worker.articles import Page, extract
from worker.demo import generator, newsroom, pages
from worker.demo.agenda import agenda
from worker.demo.article import written
from worker.demo.newsroom import FEED_ITEMS, Newsroom
from worker.stories import content_hash

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
        publications = [room.publish(article) for article in written()[:3]]
        for publication in publications:
            feed = await items(client, room.feed_urls[publication.site])
            assert [item.link for item in feed] == [publication.url]

    visiting(visit)


def test_a_published_article_is_in_the_feed_and_on_its_page() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        for article in written()[:3]:
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
        assert (copy.site, copy.repeats) == (3, origin.url)
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


def test_the_worker_reads_the_same_in_a_repeat() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        for article in itertools.islice(generator.articles(3, sites=1), 3):
            room.publish(article)  # the boxes of the two sites are not alike
        for article in written():
            if article.site == 0:
                origin = room.publish(article)
                hashes = []
                for publication in (origin, room.repeat(article)):
                    async with client.get(publication.url) as response:
                        body = await response.read()
                    page = Page(publication.url, body, response.charset, publication.at)
                    hashes.append(content_hash(extract(page).text))
                assert hashes[0] == hashes[1], article.slug

    visiting(visit)


def test_a_repeat_needs_another_site_of_the_layout() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        for article in written()[1:3]:
            room.publish(article)
            with pytest.raises(LookupError):
                room.repeat(article)

    visiting(visit)


def test_the_agenda_can_be_carried_out() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        for step in agenda(1, 60):
            getattr(room, step.act)(step.article)
        repeats = [publication for publication in room.publications if publication.repeats]
        assert {publication.site for publication in repeats} == {3}
        assert len(room.publications) - len(repeats) == 60

    visiting(visit)


def test_one_feed_is_atom_and_the_others_are_rss() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        versions = []
        for site, url in enumerate(room.feed_urls):
            article = replace(written()[0], site=site, title="“A & B”")
            publication = room.publish(article)
            updated = room.update(article.revised())
            async with client.get(url) as response:
                body = await response.read()
                kind = response.content_type
            parsed = feedparser.parse(body)
            assert not parsed.bozo
            versions.append((parsed.version, kind))
            document = feeds.parse(body, url, dict(response.headers))
            (entry,) = document.entries
            assert (document.title, document.language) == (
                room.sites[site].name,
                room.sites[site].language,
            )
            assert (entry.title, entry.summary) == (article.title, article.summary)
            assert (entry.url, entry.identity) == (publication.url, publication.url)
            assert entry.published_at == publication.at.replace(microsecond=0)
            assert entry.updated_at == updated.changed_at.replace(microsecond=0)
            assert parsed.entries[0].updated == updated.changed_at.isoformat()
        assert Counter(versions) == {
            ("rss20", "application/rss+xml"): 3,
            ("atom10", "application/atom+xml"): 1,
        }

    visiting(visit)


def test_the_pages_of_an_article_lead_to_each_other() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        (article,) = [article for article in written() if article.parts > 1]
        publication = room.publish(article)
        found: list[str] = []
        url: str | None = publication.url
        visited = []
        while url is not None:
            visited.append(url)
            async with client.get(url) as response:
                assert response.status == 200
                tree = html.document_fromstring(await response.text())
            assert tree.xpath("//link[@rel='canonical']/@href") == [publication.url]
            text = tree.xpath("//article")[0].text_content()
            found += [paragraph for paragraph in article.paragraphs if paragraph in text]
            following = tree.xpath("//link[@rel='next']/@href")
            assert tree.xpath("//a[@rel='next']/@href") == following
            url = following[0] if following else None
        assert visited == [publication.url, *(f"{publication.url}?page={n}" for n in (2, 3))]
        assert found == list(article.paragraphs)
        for wrong in ("0", "4", "x", ""):
            async with client.get(f"{publication.url}?page={wrong}") as response:
                assert response.status == 404, wrong

    visiting(visit)


def test_pages_are_dated_now_as_their_site_writes_it() -> None:
    async def visit(room: Newsroom, client: aiohttp.ClientSession) -> None:
        for article in written()[:3]:
            publication = room.publish(article)
            layout = room.sites[publication.site].layout
            async with client.get(publication.url) as response:
                page = await response.text()
            assert pages.date(publication.at, layout, article.language) in page

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
