import itertools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import trafilatura
from lxml import html

from worker.demo import generator, pages
from worker.demo.article import Article, written

URL = "http://127.20.0.1:8000/daerah/judul"
ARTICLES = [*written(), *itertools.islice(generator.articles(4), 4)]


def render(article: Article, weight_bytes: int = 0) -> str:
    return pages.render(article, site="Pesisir Kini", url=URL, weight_bytes=weight_bytes)


@pytest.mark.parametrize("article", ARTICLES, ids=lambda article: article.slug[:30])
@pytest.mark.parametrize("weight_bytes", [0, 60_000])
def test_an_extractor_finds_every_paragraph(article: Article, weight_bytes: int) -> None:
    text = trafilatura.extract(render(article, weight_bytes), include_comments=False) or ""
    assert [paragraph for paragraph in article.paragraphs if paragraph not in text] == []


@pytest.mark.parametrize("article", written(), ids=lambda article: article.language)
def test_the_head_says_what_the_page_is(article: Article) -> None:
    tree = html.document_fromstring(render(article))
    assert tree.xpath("//link[@rel='canonical']/@href") == [URL]
    assert tree.xpath("//meta[@property='og:url']/@content") == [URL]
    assert tree.xpath("//meta[@property='og:description']/@content") == [article.summary]
    assert tree.xpath("/html/@lang") == [article.language]
    assert [heading.text_content() for heading in tree.xpath("//h1")] == [article.title]


def test_a_regional_page_has_the_furniture_of_one() -> None:
    article = written()[0]
    tree = html.document_fromstring(render(article))
    text = tree.text_content()
    for furniture in (
        "Baca Juga: ",
        "22 Januari 2022, 16:57 WIB",
        f"{article.dateline} - {article.paragraphs[0]}",
        f"Editor: {article.editor}",
        f"Sumber: {article.source}",
        article.credit,
        "Terkini",
        "Terpopuler",
        "Bagikan",
        "kuki",
        "***",
    ):
        assert furniture in text, furniture
    assert not tree.xpath("//script[@type='application/ld+json']")


def test_a_plain_page_has_json_ld() -> None:
    article = written()[1]
    (data,) = html.document_fromstring(render(article)).xpath(
        "//script[@type='application/ld+json']/text()"
    )
    assert json.loads(data)["headline"] == article.title
    assert datetime.fromisoformat(json.loads(data)["datePublished"]) == article.published_at


@pytest.mark.parametrize("article", written(), ids=lambda article: article.language)
def test_texts_are_escaped(article: Article) -> None:
    nasty = "</script><b>\"A\" & 'B'</b>"
    page = render(replace(article, title=nasty, paragraphs=(nasty,), author=nasty, tags=(nasty,)))
    tree = html.document_fromstring(page)
    assert tree.xpath("//h1")[0].text_content() == nasty
    assert not tree.xpath("//h1/b")
    assert not tree.xpath("//p/b")
    assert nasty in tree.text_content()


@pytest.mark.parametrize("article", written(), ids=lambda article: article.language)
@pytest.mark.parametrize("weight_bytes", [20_000, 100_000, 250_000])
def test_a_page_weighs_what_was_asked(article: Article, weight_bytes: int) -> None:
    weight = len(render(article, weight_bytes).encode())
    assert abs(weight - weight_bytes) < 0.05 * weight_bytes


def test_promoted_and_related_headlines_are_linked() -> None:
    links = [pages.Link(f"Judul {n}", f"http://127.20.0.1:8000/{n}") for n in range(4)]
    page = pages.render(
        written()[0], site="Pesisir Kini", url=URL, promoted=links[:1], related=links[1:]
    )
    assert re.search(r'Baca Juga: <a href="http://127.20.0.1:8000/0">Judul 0</a>', page)
    latest = html.document_fromstring(page).xpath("//section[@class='latest']//a/@href")
    assert latest[:3] == [link.url for link in links[1:]]


def test_indonesian_dates() -> None:
    assert pages.indonesian_date(datetime(2022, 1, 22, 9, 57, tzinfo=UTC)) == (
        "22 Januari 2022, 16:57 WIB"
    )
    assert pages.indonesian_date(datetime(2023, 12, 31, 17, 5, tzinfo=UTC)) == (
        "1 Januari 2024, 00:05 WIB"
    )
