"""Articles whose JSON-LD is whatever it is: the article is there all the same, in bounded time."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.articles import CleanArticle, Page, extract

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "https://lembah.example/berita/jembatan"
TEXT = tuple(
    f"Bagian {n}. Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah tiga bulan."
    for n in range(6)
)
TITLE = "Jembatan Lama Dibuka Lagi"
WHOLE = {
    "@type": "NewsArticle",
    "headline": TITLE,
    "datePublished": "2026-11-23T09:20:00+07:00",
    "author": {"@type": "Person", "name": "Rani Sasmita"},
}


def read(*scripts: str) -> CleanArticle:
    """The article of a page with these scripts of JSON-LD."""
    data = "".join(f'<script type="application/ld+json">{one}</script>' for one in scripts)
    body = "".join(f"<p>{one}</p>" for one in TEXT)
    html = (
        f"<html lang=id><head><title>{TITLE}</title>{data}</head><body><article><h1>{TITLE}</h1>"
        f"<div>{body}</div></article></body></html>"
    )
    return extract(Page(URL, html.encode("utf-8", "surrogatepass"), None, NOW))


def text(data: object) -> str:
    return json.dumps(data).replace("<", "\\u003c")


class TestMended:
    """What is broken as sites break it is read."""

    @pytest.mark.parametrize(
        "script",
        [
            text(WHOLE),
            text(WHOLE).replace("Lama Dibuka", "Lama\n Dibuka").replace("Rani ", "Rani\t"),
            text(WHOLE).replace("}", ",}"),
            text({"@type": "BreadcrumbList"}) + text(WHOLE),
            text(WHOLE) + ",\n" + text({"@type": "WebPage"}),
            text({"@graph": [{"@type": "WebSite"}, WHOLE]}) + ";",
            "\ufeff<!-- " + text(WHOLE) + " -->",
            text(WHOLE).replace("Lama", "\0Lama"),
            text(WHOLE)[:-2],
        ],
        ids=["whole", "line breaks", "commas", "two", "two with a comma", "graph", "comment", "NUL",
             "cut"],
    )  # fmt: skip
    def test_as_sites_break_it(self, script: str) -> None:
        article = read(script)
        assert article.paragraphs == TEXT
        assert article.published_at == datetime(2026, 11, 23, 2, 20, tzinfo=UTC)
        assert article.authors == ("Rani Sasmita",)

    def test_one_that_cannot_be_read_hides_no_other(self) -> None:
        assert read("{" * 30_000, '{"@type": nonsense', text(WHOLE)).authors == ("Rani Sasmita",)


@pytest.mark.timeout(60)
class TestWithoutEnd:
    """None of it is read, none of it takes for ever."""

    @pytest.mark.parametrize(
        "script",
        [
            text(WHOLE)[:-1] + ', "x": "' + "a" * 5_000_000 + '"}',
            '{"@type": "NewsArticle", "author": [' + '{"name": "A"},' * 350_000 + "]}",
            '{"a":' * 10_000 + "1" + "}" * 10_000,
            '{"@type":"NewsArticle","author":' * 10_000 + "1" + "}" * 10_000,
            "[" * 2_500_000 + "]" * 2_500_000,
            '{"@type":"NewsArticle","headline":"' + '\\"' * 900_000,
            "\0" * 5_000_000,
            '{"@type": "NewsArticle", "keywords": "' + "a, " * 600_000 + '"}',
            '{"@type": "NewsArticle", "datePublished": ' + "9" * 4_000 + "}",
            '{"@type": "NewsArticle", "datePublished": 1e999, "author": NaN, "image": -Infinity}',
        ],
        ids=["a long string", "many authors", "deep", "deep authors", "deep lists", "quotes",
             "NULs", "many tags", "a long figure", "no figures"],
    )  # fmt: skip
    def test_it_costs_the_article_nothing(self, script: str) -> None:
        article = read(script)
        assert article.paragraphs == TEXT
        assert article.title in {TITLE, '"' * 1_000}

    def test_many_scripts(self) -> None:
        scripts = (text({"@type": "NewsArticle", "n": n}) for n in range(20_000))
        assert read(*scripts, '{"a": ' * 100).paragraphs == TEXT


NAMES = st.sampled_from(
    ["@type", "@id", "@graph", "@value", "@list", "headline", "name", "alternativeHeadline",
     "description", "datePublished", "dateModified", "dateCreated", "author", "creator", "editor",
     "publisher", "image", "thumbnailUrl", "url", "contentUrl", "caption", "creditText", "keywords",
     "articleSection", "articleBody", "about", "mainEntityOfPage", "isPartOf", "inLanguage",
     "isAccessibleForFree", "itemListElement", "item", "position", "sameAs", "width", "logo"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        ["NewsArticle", "Person", "ImageObject", "http://[", "//x", "2026-11-23", "9999-99-99",
         "2026-11-23T09:20:00+99:99", "\0", "\ud800", "; , / &amp;amp;", "#a", URL]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@hypothesis_settings(max_examples=200)
@given(st.dictionaries(NAMES, VALUES, max_size=12))
def test_values_of_the_wrong_type_everywhere(data: dict[str, Any]) -> None:
    assert read(text({"@type": "NewsArticle", **data}), text([data, [data]])).paragraphs


@hypothesis_settings(max_examples=200)
@given(st.lists(VALUES, max_size=3), st.text(max_size=30), st.integers(0, 400))
def test_cut_and_glued_anyhow(data: list[Any], between: str, end: int) -> None:
    whole = text(data)
    glued = between.join(map(text, data))
    assert read(glued, whole[:end], f"{between}{whole}").paragraphs == TEXT
