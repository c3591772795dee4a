"""Extraction: the pages in tests/data/articles, and pages that are none."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.articles import CleanArticle, ExtractionError, Page, extract
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
        assert article.image == EXPECTED["image"]
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
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 20,
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
            (DATA / "javascript.html").read_bytes(),
            page("<h1>Jembatan</h1>").encode(),
            page("<p>Please log in.</p>").encode(),
            b"<!--" * 10_000,
            b"<" * 100_000,
        ],
        ids=["empty", "blank", "pdf", "png", "javascript", "headline", "log in", "comments", "<"],
    )
    def test_no_text(self, body: bytes) -> None:
        assert reason(body) is Reason.NO_TEXT

    @pytest.mark.parametrize("closing", ["</div>" * 20_000, ""])
    def test_twenty_thousand_levels(self, closing: str) -> None:
        deep = "<div>" * 20_000 + f"<p>{PARAGRAPH}</p>" + closing
        assert reason(page(deep)) is Reason.NO_TEXT

    def test_what_comes_before_the_depths_is_kept(self) -> None:
        assert read(page(f"<p>{PARAGRAPH * 3}</p>" + "<div>" * 20_000)).text.startswith("Jembatan")


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
        assert read(page(f"<p>{PARAGRAPH * 3}</p>", head)).image == image

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
        assert found in {Reason.NO_TEXT, Reason.EXTRACTION_FAILED}
    else:
        assert found.text.encode().decode() == found.text
        assert "\0" not in found.text + found.title


def outcome(body: bytes, charset: str | None, url: str) -> CleanArticle | Reason:
    """The article, or the reason why there is none; any other error is raised."""
    try:
        return read(body, charset, url)
    except ExtractionError as error:
        return error.reason
