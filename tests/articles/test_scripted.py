"""Articles that a page holds only as the data of its scripts."""

import json
from datetime import UTC, datetime

import pytest

from worker.articles import Page, explain, extract, scripted

PARAGRAPHS = [f"Bagian {n}: jembatan lama di tepi kota dibuka lagi pada Selasa." for n in range(5)]
ARTICLE = "".join(f"<p>{one}</p>" for one in PARAGRAPHS) + "<p class=caption>Foto</p>$$IKLAN$$"
OTHER = "<p>a</p><p>b</p><p>c</p>"
HEAD = "<html><head><title>Jembatan</title></head><body><div id=root></div>"


def flight(*pieces: str) -> str:
    """A page that streams `pieces`, as Next.js does."""
    pushed = (f"<script>self.__next_f.push({json.dumps([1, piece])})</script>" for piece in pieces)
    return f"{HEAD}<script>self.__next_f.push([0])</script>{''.join(pushed)}</body></html>"


def document(data: object) -> str:
    return f'{HEAD}<script id="__NEXT_DATA__" type="application/json">{json.dumps(data)}</script>'


SIZE = f"{len(ARTICLE.encode()):x}"
ROWS = f'0:["$","div",null,{{"a":1}}]\n1f:T{SIZE},{ARTICLE}2:"{OTHER}"\n'


@pytest.mark.parametrize(
    "raw",
    [
        flight(ROWS),
        flight(ROWS[:50], ROWS[50:200], ROWS[200:]),
        flight(f"0:{json.dumps({'props': [OTHER, {'body': ARTICLE}]})}\n"),
        document({"props": {"pageProps": {"article": {"html": ARTICLE}, "more": [OTHER]}}}),
    ],
)
class TestFound:
    def test_the_longest_string_with_paragraphs(self, raw: str) -> None:
        assert scripted.html(raw) == ARTICLE

    def test_it_is_the_article(self, raw: str) -> None:
        article = extract(Page("https://lembah.example/1", raw.encode(), None, datetime.now(UTC)))
        assert list(article.paragraphs) == PARAGRAPHS
        assert (article.method, article.title) == ("script", "Jembatan")

    def test_it_is_explained(self, raw: str) -> None:
        blocks = explain(Page("https://lembah.example/1", raw.encode(), None, datetime.now(UTC)))
        assert [one.text for one in blocks if one.kept] == PARAGRAPHS


@pytest.mark.parametrize(
    "raw",
    [
        "",
        HEAD,
        flight("0:null\n", "x", "ff:Tffffffff,"),
        f"{HEAD}<script>self.__next_f.push([1,</script>",
        document({"html": "<p>a</p>"}),
        document({}).replace("{}", "{"),
        document({}).replace("{}", "[" * 100_000),
    ],
)
def test_none_where_there_is_none(raw: str) -> None:
    assert scripted.html(raw) is None


def test_a_page_that_shows_its_article_is_not_asked() -> None:
    shown = "".join(f"<p>{one} Warga menari.</p>" for one in PARAGRAPHS)
    raw = document({"html": ARTICLE * 9}).replace("<div id=root>", f"<div id=root>{shown}")
    article = extract(Page("https://lembah.example/1", raw.encode(), None, datetime.now(UTC)))
    assert (len(article.paragraphs), article.method) == (5, "fast")


def test_a_line_break_before_the_data_does_no_harm() -> None:
    data = json.dumps({"body": ARTICLE})
    page = f'<script type="application/json">\n{data}</script>'
    assert scripted.html(page) == ARTICLE


def test_drawings_are_no_paragraphs() -> None:
    drawing = f"<svg>{'<path d=M0z>' * 400}</svg>"
    data = json.dumps({"icon": drawing, "body": ARTICLE})
    assert scripted.html(f'<script type="application/json">{data}</script>') == ARTICLE
