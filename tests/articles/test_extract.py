"""Extraction: the pages in tests/data/articles, and pages that are none."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.articles import CleanArticle, ExtractionError, Page, extract
from worker.articles.extract import explain
from worker.reasons import Reason

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DATA = Path(__file__).parents[1] / "data" / "articles"
URL = "https://lembah.example/berita/jembatan?page=all"
TEXT = (DATA / "sungai.html").read_text("utf-8")
EXPECTED = json.loads((DATA / "sungai.json").read_text("utf-8"))
PARAGRAPH = "Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah ditutup tiga bulan. "


def read(body: bytes | str, charset: str | None = None, url: str = URL) -> CleanArticle:
    body = body.encode() if isinstance(body, str) else body
    return extract(Page(url, body, charset, NOW))


def reason(body: bytes | str, charset: str | None = None) -> Reason:
    with pytest.raises(ExtractionError) as caught:
        read(body, charset)
    assert str(caught.value) == caught.value.detail
    return caught.value.reason


def page(inside: str, head: str = "<title>Jembatan</title>") -> str:
    return f"<html><head>{head}</head><body><article>{inside}</article></body></html>"


class TestEncodings:
    @pytest.mark.parametrize(
        ("really", "meta", "header"),
        [
            ("utf-8", "utf-8", "utf-8"),
            ("utf-8", "utf-8", None),
            ("utf-8", "iso-8859-1", "iso-8859-1"),
            ("utf-8", "utf-8", "windows-1251"),
            ("utf-8-sig", "utf-8", None),
            ("windows-1252", "windows-1252", "windows-1252"),
            ("windows-1252", "utf-8", "windows-1252"),
            ("windows-1252", "iso-8859-1", "iso-8859-1"),
            ("windows-1252", "windows-1252", None),
            ("windows-1252", "windows-1252", "unheard-of"),
            ("windows-1252", "windows-1252", "undefined"),
            ("windows-1252", "windows-1252", "hex"),
            ("windows-1252", "windows-1252", "a\0b"),
            ("utf-16", "utf-8", "utf-16"),
        ],
    )
    def test_the_article_is_the_same_in_each(
        self, really: str, meta: str, header: str | None
    ) -> None:
        body = TEXT.replace("CHARSET", meta).encode(really)
        article = read(body, header)
        assert article.title == EXPECTED["title"]
        assert article.authors == tuple(EXPECTED["authors"])
        assert article.publisher == EXPECTED["publisher"]
        assert article.published_at == datetime.fromisoformat(EXPECTED["published_at"])
        assert article.canonical_url == EXPECTED["canonical_url"]
        assert article.image
        assert article.image.url == EXPECTED["image"]
        assert article.language == EXPECTED["language"]
        assert article.text.count("\n\n") == EXPECTED["paragraphs"] - 1
        assert article.text.startswith(EXPECTED["begins"])
        assert all(part in article.text for part in EXPECTED["holds"])
        assert not any(part in article.text for part in EXPECTED["lacks"])
        assert article.word_count == len(article.text.split())


class TestNoArticles:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" \n ",
            (DATA / "javascript.html").read_bytes(),
            page("<h1>Jembatan</h1>").encode(),
            page("<p>Please log in.</p>").encode(),
            b"<!--" * 10_000,
            b"<" * 100_000,
        ],
        ids=["empty", "blank", "javascript", "headline", "log in", "comments", "<"],
    )
    def test_no_text(self, body: bytes) -> None:
        assert reason(body) is Reason.NO_TEXT

    @pytest.mark.parametrize(
        "body",
        [
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 20,
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
            b'{"headline": "Jembatan", "body": "' + PARAGRAPH.encode() * 3 + b'"}',
            b'\n[{"id": 1}]',
        ],
        ids=["pdf", "png", "json", "a list"],
    )
    def test_no_html(self, body: bytes) -> None:
        assert reason(body) is Reason.NOT_HTML

    @pytest.mark.parametrize("closing", ["</div>" * 20_000, ""])
    def test_twenty_thousand_levels(self, closing: str) -> None:
        deep = "<div>" * 20_000 + f"<p>{PARAGRAPH}</p>" + closing
        assert reason(page(deep)) is Reason.NO_TEXT

    def test_what_comes_before_the_depths_is_kept(self) -> None:
        assert read(page(f"<p>{PARAGRAPH * 3}</p>" + "<div>" * 20_000)).text.startswith("Jembatan")


class TestBadPages:
    """Each gives an article, or a reason why not; none takes the process down."""

    @pytest.mark.parametrize(
        "body",
        [
            b"<div>" * 1_000_000,
            b"<div class='related box'>" * 200_000,
            ("<div>" * 100_000 + PARAGRAPH * 3 + "</div>" * 100_000).encode(),
            page("<ul><li class=related>" * 100_000 + f"<p>{PARAGRAPH * 3}</p>").encode(),
            page("<span class=caption>" * 200_000 + PARAGRAPH * 5).encode(),
            page("<p>x y</p>" * 100_000).encode(),
        ],
        ids=["open divs", "named divs", "closed divs", "lists", "spans", "crumbs"],
    )
    def test_no_text(self, body: bytes) -> None:
        assert reason(body) is Reason.NO_TEXT

    @pytest.mark.parametrize(
        "body",
        [
            page(f"<p>{PARAGRAPH * 3}</p>").encode() + b"\xff\xfe\xfd",
            page(f"<p>{PARAGRAPH * 3}</p>").encode("utf-16-le"),
            page(f"<p>{PARAGRAPH * 3}</p>").encode("utf-16-be"),
            page(f"<p>{PARAGRAPH * 3}</p>").encode() + b"<script>" * 300_000,
            page(f"<p>{PARAGRAPH * 3}</p><svg>" * 1_000).encode(),
            page(f"<form><div>{f'<p>{PARAGRAPH * 2}</p>' * 5}</div></form>").encode(),
            page(f"<p class='{'a ' * 500_000}'>{PARAGRAPH * 3}</p>").encode(),
            f"<html><body>{PARAGRAPH}<br>{PARAGRAPH}<br><br>{PARAGRAPH}</body></html>".encode(),
            page(f"<p>{PARAGRAPH * 2}</p>").encode(),
        ],
        ids=[
            "bad utf-8", "utf-16-le", "utf-16-be", "open scripts", "open drawings", "a form",
            "a long class", "breaks", "one sentence",
        ],
    )  # fmt: skip
    def test_text(self, body: bytes) -> None:
        assert read(body).text.startswith(PARAGRAPH.strip())

    def test_a_page_too_large_for_the_extractors(self) -> None:
        crumbs = "<div><p>x y</p></div>" * 25_000
        article = read(page(f"<div class=text>{f'<p>{PARAGRAPH * 3}</p>' * 9}</div>{crumbs}"))
        assert (article.method, len(article.paragraphs)) == ("container", 9)

    def test_an_error_of_the_extractor_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RecursionError("too deep")

        monkeypatch.setattr("trafilatura.bare_extraction", fail)
        with pytest.raises(ExtractionError, match="RecursionError: too deep") as caught:
            read(page("<p>x</p>"))
        assert caught.value.reason is Reason.EXTRACTION_FAILED


class TestBody:
    PARTS = tuple(f"Bagian {n}. {PARAGRAPH * 2}".strip() for n in range(8))

    def body(self, cut: str) -> str:
        text = [f"<p>{part}</p>" for part in self.PARTS]
        return page(f"<div class=text>{''.join(text[:4])}{cut}{''.join(text[4:])}</div>")

    @pytest.mark.parametrize(
        "cut",
        [
            "",
            "<div class=ad>ADVERTISEMENT</div>",
            "</div><div class=ad><p>SCROLL TO CONTINUE WITH CONTENT</p></div><div class=text>",
            "<p><strong>Baca juga: <a href=/2>Jembatan Kedua Dibangun</a></strong></p>",
            "<aside><p>Daftar sekarang untuk menerima surel kami setiap pagi.</p></aside>",
            "<figure><img src=x><figcaption>Jembatan dari arah pasar</figcaption></figure>",
            "<div class=related><h3>Terkait</h3><ul><li><a href=/3>Kereta Baru Tiba</a></ul></div>",
        ],
        ids=["nothing", "ad", "split", "promotion", "aside", "caption", "related"],
    )  # fmt: skip
    def test_whatever_cuts_it_in_two(self, cut: str) -> None:
        assert read(self.body(cut)).paragraphs == self.PARTS

    @pytest.mark.parametrize(
        "between", ["<h2>Janji</h2>", "<blockquote>Janji</blockquote>", "<ul><li>Janji</li></ul>"]
    )
    def test_headings_quotes_and_lists_are_its_part(self, between: str) -> None:
        assert read(self.body(between)).paragraphs == (*self.PARTS[:4], "Janji", *self.PARTS[4:])

    def test_a_row_of_a_table_is_a_line(self) -> None:
        table = "<table><tr><td>Beras</td><td>14.000</td></tr></table>"
        assert "Beras | 14.000" in read(self.body(table)).paragraphs

    def test_another_article_below_it(self) -> None:
        other = (
            f"<html><body><article><h1>Lain</h1><div class=text>{f'<p>{PARAGRAPH}</p>' * 4}</div>"
        )
        assert read(self.body("") + other).paragraphs == self.PARTS

    def test_the_lead_is_told_apart(self) -> None:
        lead = (
            "Tiga bulan warga menyeberang dengan perahu, dan kini jembatan mereka kembali dibuka."
        )
        body = self.body("").replace("<div", f"<h1>Jembatan</h1><p class=lead>{lead}</p><div", 1)
        article = read(body)
        assert (article.lead, article.paragraphs) == (lead, self.PARTS)

    def test_text_that_only_json_has(self) -> None:
        text = " ".join(self.PARTS)
        data = json.dumps({"@type": "NewsArticle", "headline": "Jembatan", "articleBody": text})
        shown = "".join(f"<p>{part}</p>" for part in self.PARTS[:2])
        article = read(f"<script type='application/ld+json'>{data}</script>" + page(shown))
        assert article.method == "json-ld"
        assert article.paragraphs == (self.PARTS[0], " ".join(self.PARTS[1:]))

    @pytest.mark.parametrize("written", [True, False])
    def test_whether_the_page_named_the_zone(self, written: bool) -> None:
        at = f"2022-01-22T16:57{'+07:00' * written}"
        head = f"<title>Jembatan</title><meta property=article:published_time content={at}>"
        article = read(page(TEXT, head), url="https://lembah.co.id/1")
        assert article.published_at == datetime.fromisoformat("2022-01-22T16:57+07:00")
        assert article.zone_written is written

    def test_whose_it_is_and_how_sure(self) -> None:
        article = read(self.body(""))
        assert article.method == "container"
        assert 0.7 <= article.confidence <= 1
        assert read(page(f"<p>{PARAGRAPH * 2}</p>")).confidence < article.confidence

    def test_a_dateline_is_no_text(self) -> None:
        body = self.body("").replace("Bagian 0", "LEMBAH.EXAMPLE, SEMARANG - Bagian 0", 1)
        article = read(body)
        assert (article.dateline, article.paragraphs) == ("Semarang", self.PARTS)

    def test_nor_is_the_agency_behind_it(self) -> None:
        article = read(self.body("").replace("</p></div>", " (ANTARA)</p></div>"))
        assert (article.credited_sources, article.paragraphs) == (("ANTARA",), self.PARTS)

    def test_marks_at_its_end_are_no_text(self) -> None:
        body = self.body("").replace("</p></div>", " (ams/sip)</p><p>***</p></div>")
        assert read(body).paragraphs == self.PARTS


class TestExplained:
    def test_each_block_has_its_rule(self) -> None:
        promotion = "Baca juga: Kereta Baru"
        inside = f"<nav>Beranda</nav><h1>Jembatan</h1><p>{PARAGRAPH * 3}</p><p>{promotion}</p>"
        inside += f"<p>{PARAGRAPH * 2}</p><footer>Hak cipta Lembah</footer>"
        blocks = {one.text: one for one in explain(Page(URL, page(inside).encode(), None, NOW))}
        assert not blocks["Beranda"].kept
        assert (blocks[promotion].kept, blocks[promotion].rule) == (False, "promotion")
        assert blocks[(PARAGRAPH * 3).strip()].kept
        kept = [one.text for one in blocks.values() if one.kept]
        assert "\n\n".join(kept) == read(page(inside)).text

    def test_what_is_no_page_is_told_as_by_extract(self) -> None:
        with pytest.raises(ExtractionError) as caught:
            explain(Page(URL, b"%PDF-1.7", None, NOW))
        assert caught.value.reason is Reason.NOT_HTML


class TestArticle:
    def test_paragraphs_and_text_are_the_same(self) -> None:
        assert CleanArticle("a", "b\n\nc").paragraphs == ("b", "c")
        assert CleanArticle("a", paragraphs=("b", "c")).text == "b\n\nc"
        assert CleanArticle("a").paragraphs == ()

    def test_the_paragraphs_count_when_both_are_given(self) -> None:
        changed = replace(CleanArticle("a", "b\n\nc"), paragraphs=("d", "e f"))
        assert (changed.text, changed.word_count) == ("d\n\ne f", 3)


class TestDetails:
    def test_nul_and_other_control_characters(self) -> None:
        text = PARAGRAPH.replace("kota", "ko\0ta&#0;") + PARAGRAPH.replace("lama", "la\x01ma\x0b")
        article = read(page(f"<p>{text}</p>", "<title>A\0B</title>"))
        for found in (article.text, article.title):
            assert not set(found) & set(map(chr, [*range(9), 11, 12, *range(14, 32)]))
        assert "Selasa pagi" in article.text

    def test_surrogates(self) -> None:
        text = read(page(f"<p>&#xD83D;&#xDE00; {PARAGRAPH * 2}</p>")).text
        assert text.encode().decode() == text

    @pytest.mark.parametrize(
        ("content", "image"),
        [
            ("https://cdn.example/a.jpg", "https://cdn.example/a.jpg"),
            ("//cdn.example/a.jpg", "https://cdn.example/a.jpg"),
            ("a.jpg", "https://lembah.example/berita/a.jpg"),
            ("data:image/png;base64,AAAA", None),
            ("javascript:alert(1)", None),
            ("http://[::1/a.jpg", None),
            (f"https://cdn.example/{'a' * 2_000}", None),
            ("", None),
        ],
    )
    def test_an_image_is_a_link(self, content: str, image: str | None) -> None:
        head = f'<title>x</title><meta property="og:image" content="{content}">'
        found = read(page(f"<p>{PARAGRAPH * 3}</p>", head)).image
        assert (found.url if found else None) == image

    @pytest.mark.parametrize("url", ["", "https://[::1", "nonsense", "https://x.example/é"])
    def test_the_pages_url_may_be_odd(self, url: str) -> None:
        assert read(page(f"<p>{PARAGRAPH * 3}</p>"), url=url).text.startswith("Jembatan")

    def test_a_page_without_a_language(self) -> None:
        assert read(page(f"<p>{PARAGRAPH * 3}</p>")).language is None

    def test_the_headline_is_left_out_only_where_it_is_one(self) -> None:
        inside = f"<p>{PARAGRAPH}</p><p>Jembatan</p><p>{PARAGRAPH.upper()}</p>"
        assert "\n\nJembatan\n\n" in read(page(inside)).text


tags = st.sampled_from(
    [
        "<p>", "</p>", "<div>", "</div>", "<article>", "<h1>", "<li>", "<table>", "<td>", "<br>",
        "<a href='http://['>", "<img src='x'>", "<script>", "</script>", "<style>", "<!--", "-->",
        "<svg>", "<math>", "<template>", "<iframe>", "<title>", "</title>", "<base href='http://['>",
        "<meta charset='undefined'>", "<meta charset='x'>", "<link rel='canonical' href='http://['>",
        "<meta property='og:url' content='//'>", "<time datetime='99999-99-99'>", "<html lang=''>",
        "<script type='application/ld+json'>{\"@type\": [", "<meta name='author' content=';;'>",
        "<![CDATA[", "<?xml version='1.0' encoding='x'?>", "&#0;", "&#xD800;", "&nbsp", "\0", "é",
        PARAGRAPH, PARAGRAPH,
    ]
)  # fmt: skip


@hypothesis_settings(max_examples=150)
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(tags, max_size=30).map("".join).map(str.encode),
        st.lists(tags, max_size=10).map("".join).map(lambda text: page(text).encode("utf-16")),
    ),
    charset=st.sampled_from([None, "utf-8", "utf-16", "undefined", "x"]) | st.text(max_size=9),
    url=st.sampled_from([URL, "", "http://["]),
)  # fmt: skip
def test_any_bytes_give_an_article_or_an_extraction_error(
    body: bytes, charset: str | None, url: str
) -> None:
    found = outcome(body, charset, url)
    if isinstance(found, Reason):
        assert found in {Reason.NO_TEXT, Reason.NOT_HTML, Reason.EXTRACTION_FAILED}
    else:
        assert found.text.encode().decode() == found.text
        assert "\0" not in found.text + found.title


def outcome(body: bytes, charset: str | None, url: str) -> CleanArticle | Reason:
    """The article, or the reason why there is none; any other error is raised."""
    try:
        return read(body, charset, url)
    except ExtractionError as error:
        return error.reason
