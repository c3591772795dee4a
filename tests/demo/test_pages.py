import itertools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import trafilatura
from lxml import html

from worker.demo import generator, pages
from worker.demo.article import Article, written
from worker.demo.pages import BROADSHEET, PORTAL, REGIONAL, Layout

URL = "http://127.20.0.1:8000/daerah/judul"
LAYOUTS = (REGIONAL, BROADSHEET, PORTAL)  # of the sites 0, 1 and 2
ARTICLES = [*written(), *itertools.islice(generator.articles(4), 4)]
ONE_A_LAYOUT = pytest.mark.parametrize(
    "article", written()[:3], ids=[layout.name for layout in LAYOUTS]
)
JSON_LD = "//script[@type='application/ld+json']/text()"


def render(article: Article, weight_bytes: int = 0, part: int = 1) -> str:
    return pages.render(
        article,
        site="Pesisir Kini",
        url=URL,
        weight_bytes=weight_bytes,
        layout=LAYOUTS[article.site],
        part=part,
    )


@pytest.mark.parametrize("article", ARTICLES, ids=lambda article: article.slug[:30])
@pytest.mark.parametrize("weight_bytes", [0, 60_000])
def test_an_extractor_finds_every_paragraph(article: Article, weight_bytes: int) -> None:
    for part in range(1, article.parts + 1):
        page = render(article, weight_bytes, part)
        text = trafilatura.extract(page, include_comments=False) or ""
        assert [paragraph for paragraph in article.part(part) if paragraph not in text] == []


@ONE_A_LAYOUT
def test_the_head_says_what_the_page_is(article: Article) -> None:
    tree = html.document_fromstring(render(article))
    assert tree.xpath("//link[@rel='canonical']/@href") == [URL]
    assert tree.xpath("//meta[@property='og:url']/@content") == [URL]
    assert tree.xpath("//meta[@property='og:description']/@content") == [article.summary]
    assert tree.xpath("/html/@lang")[0].partition("-")[0] == article.language
    assert [heading.text_content() for heading in tree.xpath("//h1")] == [article.title]


@pytest.mark.parametrize("article", written(), ids=lambda article: article.slug[:30])
def test_a_page_has_the_furniture_of_its_layout(article: Article) -> None:
    text = html.document_fromstring(render(article)).text_content()
    for furniture in FURNITURE[LAYOUTS[article.site].name]:
        assert furniture in text, furniture
    assert article.caption in text
    assert article.credit in text
    assert article.editor in text
    assert re.search(rf"{re.escape(article.dateline)} -\s+{article.paragraphs[0][:40]}", text)
    assert f"{'Sumber' if article.language == 'id' else 'Source'}: {article.source}" in text
    for tag in article.tags:
        assert tag in text.partition("Tags")[2]


FURNITURE = {
    "regional": (
        *("Baca Juga: ", "22 Januari 2022, 16:57 WIB", "Editor: ", "Terkini", "Terpopuler"),
        *("Bagikan", "kuki", "ADVERTISEMENT", "Pedoman Media Siber"),
    ),
    "portal": (
        *("Baca Juga: ", "Sabtu, 22 Januari 2022 | 16:57 WIB", "Penulis: ", "| Editor: "),
        *("Terkini", "Terpopuler", "Bagikan:", "kuki", "PESISIR KINI, "),
    ),
    "broadsheet": (
        *("Read also: ", "22 January 2022, 09:57 GMT", "Edited by ", "Latest", "Most read"),
        *("Share", "cookies"),
    ),
}


@pytest.mark.parametrize("article", written(), ids=lambda article: article.slug[:30])
def test_other_articles_are_promoted_between_the_paragraphs(article: Article) -> None:
    tree = html.document_fromstring(render(article))
    promotion = "Read also: " if article.language == "en" else "Baca Juga: "
    lines = [p.text_content().startswith(promotion) for p in tree.xpath("//article//p")]
    assert sum(lines) == (1 if article.parts > 1 else 2)
    assert not lines[0]


@pytest.mark.parametrize("article", written(), ids=lambda article: article.slug[:30])
def test_stars_end_an_indonesian_article(article: Article) -> None:
    for part in range(1, article.parts + 1):
        tree = html.document_fromstring(render(article, part=part))
        last = tree.xpath("//article//p")[-1].text_content()
        ends = article.language == "id" and part == article.parts
        assert (last == "***") == ends


def test_the_regional_layout_has_no_json_ld() -> None:
    for article in ARTICLES:
        tree = html.document_fromstring(render(article))
        assert bool(tree.xpath(JSON_LD)) == (LAYOUTS[article.site] is not REGIONAL)


@pytest.mark.parametrize("article", written()[1:3], ids=["broadsheet", "portal"])
def test_the_others_have_it(article: Article) -> None:
    page = render(replace(article, title=article.title + " </script><!-- & \"'"))
    texts = html.document_fromstring(page).xpath(JSON_LD)
    news, *others = map(json.loads, texts)
    assert news["@type"] == "NewsArticle"
    assert news["headline"] == article.title + " </script><!-- & \"'"
    assert datetime.fromisoformat(news["datePublished"]) == article.published_at
    assert news["author"] == [{"@type": "Person", "name": article.author}]
    assert [other["@type"] for other in others] == ["BreadcrumbList"][: article.site - 1]
    for other in others:
        assert other["itemListElement"][-1]["item"] == URL


def test_the_zone_of_json_ld_is_the_sites() -> None:
    zones = []
    for article in written()[1:3]:
        text = html.document_fromstring(render(article)).xpath(JSON_LD)[0]
        zones.append(datetime.fromisoformat(json.loads(text)["datePublished"]).utcoffset())
    assert zones == [timedelta(), timedelta(hours=7)]


@ONE_A_LAYOUT
def test_texts_are_escaped(article: Article) -> None:
    nasty = "</script><b>\"A\" & 'B' {title}</b>"
    page = render(replace(article, title=nasty, paragraphs=(nasty,), author=nasty, tags=(nasty,)))
    tree = html.document_fromstring(page)
    assert tree.xpath("//h1")[0].text_content() == nasty
    assert not tree.xpath("//h1/b")
    assert not tree.xpath("//p//b[starts-with(., '\"A\"')]")
    assert nasty in tree.text_content()


@ONE_A_LAYOUT
@pytest.mark.parametrize("weight_bytes", [20_000, 100_000, 250_000])
def test_a_page_weighs_what_was_asked(article: Article, weight_bytes: int) -> None:
    weight = len(render(article, weight_bytes).encode())
    assert abs(weight - weight_bytes) < 0.05 * weight_bytes


def test_promoted_and_related_headlines_are_linked() -> None:
    at = datetime(2022, 1, 21, 18, 1, tzinfo=UTC)
    links = [pages.Link(f"Judul {n}", f"http://127.20.0.1:8000/{n}", at) for n in range(4)]
    page = pages.render(
        written()[0], site="Pesisir Kini", url=URL, promoted=links[:1], related=links[1:]
    )
    assert re.search(r'Baca Juga: <a href="http://127.20.0.1:8000/0">Judul 0</a>', page)
    tree = html.document_fromstring(page)
    assert tree.xpath("//section[@class='latest']//a/@href")[:3] == [link.url for link in links[1:]]
    dates = [date.text_content() for date in tree.xpath("//section[@class='latest']//date")]
    assert dates[:3] == ["22 Januari 2022, 01:01 WIB"] * 3
    assert len(set(dates[3:])) == 2


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_parts_of_an_article_link_to_each_other(layout: Layout) -> None:
    article = next(article for article in written() if article.parts == 3)
    urls = [URL, f"{URL}?page=2", f"{URL}?page=3"]
    for part in (1, 2, 3):
        page = pages.render(article, site="Pesisir Kini", url=URL, layout=layout, part=part)
        tree = html.document_fromstring(page)
        assert tree.xpath("//link[@rel='canonical']/@href") == [URL]
        assert tree.xpath("//link[@rel='next']/@href") == urls[part : part + 1]
        assert tree.xpath("//link[@rel='prev']/@href") == urls[: part - 1][-1:]
        (paging,) = tree.xpath("//div[contains(@class, 'paging')]")
        following = " Selanjutnya" if part < 3 else ""
        assert paging.text_content() == f"Halaman 1 2 3{following}"
        others = [url for url in urls if url != urls[part - 1]]
        assert paging.xpath("./a[not(@rel)]/@href") == others
        assert paging.xpath("./a[@rel='next']/@href") == urls[part : part + 1]
        assert (f"{article.title} - Halaman {part}" in page) == (part > 1)
        assert (f"{article.dateline} -" in tree.text_content()) == (part == 1)


def test_an_article_of_one_page_has_no_paging() -> None:
    for article in written()[:3]:
        tree = html.document_fromstring(render(article))
        assert not tree.xpath("//link[@rel='next' or @rel='prev']")
        assert not tree.xpath("//div[contains(@class, 'paging')]")


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (
            datetime(2022, 1, 22, 9, 57, tzinfo=UTC),
            (
                "22 Januari 2022, 16:57 WIB",
                "22 January 2022, 09:57 GMT",
                "Sabtu, 22 Januari 2022 | 16:57 WIB",
            ),
        ),
        (
            datetime(2023, 12, 31, 17, 5, tzinfo=UTC),
            (
                "1 Januari 2024, 00:05 WIB",
                "31 December 2023, 17:05 GMT",
                "Senin, 1 Januari 2024 | 00:05 WIB",
            ),
        ),
    ],
)
def test_dates_as_the_sites_write_them(at: datetime, expected: tuple[str, ...]) -> None:
    languages = ("id", "en", "id")
    assert tuple(map(pages.date, itertools.repeat(at), LAYOUTS, languages)) == expected
