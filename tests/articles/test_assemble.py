"""From pages to one article: parts joined once, and walls told from articles."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from worker.articles import CleanArticle, ExtractionError, Page, assemble, join
from worker.reasons import Reason

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
URL = "https://lembah.example/berita/jembatan"
FIRST = (
    "Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah ditutup tiga bulan.",
    "Warga menyeberang lebih dulu, lalu para pedagang sayur menyusul dengan gerobak mereka.",
)
SECOND = (
    "Kepala dinas mengatakan biaya perbaikan ditanggung warga sendiri selama musim kemarau.",
    "Pemerintah kota berjanji memasang lampu baru di kedua ujungnya sebelum akhir tahun.",
)
THIRD = (
    "Anak-anak kini tidak perlu lagi memutar sejauh lima kilometer untuk pergi ke sekolah.",
    "Papan peringatan dipasang di kedua ujung jembatan pada sore hari itu juga.",
)


def part(paragraphs: Sequence[str], **others: object) -> CleanArticle:
    title = str(others.pop("title", "Jembatan Lama Dibuka Lagi"))
    return CleanArticle(title=title, paragraphs=tuple(paragraphs), **others)  # type: ignore[arg-type]


def joined(*parts: CleanArticle) -> list[str]:
    return join(parts).text.split("\n\n")


def page(paragraphs: Sequence[str], url: str = URL, head: str = "") -> Page:
    inside = "".join(f"<p>{one}</p>" for one in paragraphs)
    html = (
        f'<html lang="id"><head><title>Jembatan Lama Dibuka Lagi</title>{head}</head><body>'
        f"<article><h1>Jembatan Lama Dibuka Lagi</h1>{inside}</article></body></html>"
    )
    return Page(url, html.encode(), None, NOW)


class TestJoin:
    def test_one_part_is_the_article(self) -> None:
        only = part(FIRST)
        assert join([only]) is only

    def test_in_reading_order(self) -> None:
        assert joined(part(FIRST), part(SECOND), part(THIRD)) == [*FIRST, *SECOND, *THIRD]

    def test_each_paragraph_once(self) -> None:
        again = (FIRST[0].upper(), *SECOND, FIRST[1])
        assert joined(part(FIRST), part(again)) == [*FIRST, *SECOND]

    def test_up_to_a_part_that_is_a_repeat(self) -> None:
        assert joined(part(FIRST), part(SECOND), part(FIRST), part(THIRD)) == [*FIRST, *SECOND]

    @pytest.mark.parametrize(
        "line",
        ["Halaman 2 dari 3", "Halaman: 2", "Page 2 of 3", "Seite 2 von 2", "2/3", "Halaman 1 2 3",
         "Halaman: 1 2 3 Selanjutnya", "Página 2 de 4", "Страница 2 из 3"],
    )  # fmt: skip
    def test_without_lines_of_paging(self, line: str) -> None:
        assert joined(part([*FIRST, line]), part([line, *SECOND])) == [*FIRST, *SECOND]

    def test_a_sentence_that_speaks_of_a_page_stays(self) -> None:
        told = ("Halaman 2 dari buku itu hilang, kata pustakawan kota yang menyimpannya.",)
        assert joined(part(FIRST), part(told)) == [*FIRST, *told]

    def test_without_the_headline_of_a_later_part(self) -> None:
        title = "Jembatan Lama Dibuka Lagi - Halaman 2"
        later = part(["Jembatan Lama Dibuka Lagi", title, *SECOND], title=title)
        assert joined(part(FIRST), later) == [*FIRST, *SECOND]

    def test_a_sentence_that_was_cut_in_two(self) -> None:
        cut = (*FIRST, "Menurut warga, jembatan itu kini mampu menahan beban dua ton,")
        rest = ("cukup untuk gerobak yang lewat bergantian.", *SECOND)
        whole = f"{cut[-1]} {rest[0]}"
        assert joined(part(cut), part(rest)) == [*FIRST, whole, *SECOND]

    def test_a_sentence_that_ends(self) -> None:
        quoted = (FIRST[0], "“Kami senang sekali.”")
        rest = ("e-KTP warga diperiksa di kedua ujung jembatan.",)
        assert joined(part(quoted), part(rest)) == [*quoted, *rest]

    def test_what_the_first_part_does_not_say_a_later_one_may(self) -> None:
        first = part(FIRST, authors=("Rani",))
        second = part(SECOND, authors=("Budi",), publisher="Kabar Lembah", canonical_url=f"{URL}/2")
        article = join([first, second])
        assert (article.authors, article.publisher) == (("Rani",), "Kabar Lembah")
        assert article.canonical_url == f"{URL}/2"
        assert article.word_count == len(article.text.split())

    @pytest.mark.parametrize(
        "title",
        ["Judul Halaman all", "Judul - Halaman 2", "Judul (Seite 2 von 3)", "Judul | Page 3"],
    )
    def test_the_title_names_no_page(self, title: str) -> None:
        assert join([part(FIRST, title=title), part(SECOND)]).title == "Judul"


class TestAssemble:
    def test_all_parts(self) -> None:
        pages = [page(FIRST), page(SECOND, f"{URL}?page=2"), page(THIRD, f"{URL}?page=3")]
        assert assemble(pages).text.split("\n\n") == [*FIRST, *SECOND, *THIRD]

    def test_a_part_may_be_shorter_than_an_article(self) -> None:
        last = ("Rapat itu ditutup pada pukul sembilan malam.",)
        pages = [page(FIRST), page(SECOND, f"{URL}?page=2"), page(last, f"{URL}?page=3")]
        assert assemble(pages).text.split("\n\n") == [*FIRST, *SECOND, *last]
        with pytest.raises(ExtractionError):
            assemble([page(last)])

    def test_a_part_that_is_a_wall_is_none(self) -> None:
        wall = (
            "<title>Just a moment...</title><p>Checking if the site connection is secure before "
            "you can go on to the page that you have asked for.</p>"
        )
        pages = [page(FIRST), Page(f"{URL}?page=2", wall.encode(), None, NOW)]
        assert assemble(pages).text.split("\n\n") == list(FIRST)

    def test_up_to_a_part_that_cannot_be_read(self) -> None:
        pages = [page(FIRST), Page(URL, b"", None, NOW), page(SECOND)]
        assert assemble(pages).text.split("\n\n") == list(FIRST)

    @pytest.mark.parametrize(
        ("html", "reason"),
        [
            ("<title>Just a moment...</title><p>Checking your browser</p>", Reason.BOT_CHECK),
            ("<noscript>Please enable JavaScript.</noscript>", Reason.NEEDS_JAVASCRIPT),
            ("<title>Masuk</title><input type=password>", Reason.LOGIN_REQUIRED),
            ("<title>Before you continue</title>", Reason.CONSENT_WALL),
            ("<p>Pendek.</p>", Reason.NO_TEXT),
        ],
    )
    def test_a_page_that_gives_nothing_says_why(self, html: str, reason: Reason) -> None:
        with pytest.raises(ExtractionError) as caught:
            assemble([Page(URL, html.encode(), None, NOW)])
        assert caught.value.reason is reason
        assert caught.value.detail

    def test_a_stub_is_no_article(self) -> None:
        head = '<script type="application/ld+json">{"isAccessibleForFree": false}</script>'
        with pytest.raises(ExtractionError) as caught:
            assemble([page(FIRST, head=head)])
        assert caught.value.reason is Reason.PAYWALLED
        assert caught.value.shown is not None
        assert caught.value.shown.paragraphs == FIRST

    def test_but_for_one_whose_whole_text_is_in_its_data(self) -> None:
        """Behind a stub that is longer than many an article."""
        shown = tuple(f"Bagian {n}. {FIRST[0]}" for n in range(8))
        whole = "\n\n".join((*shown, *(f"Bagian {n}. {SECOND[0]}" for n in range(8, 24))))
        data = {"@type": "NewsArticle", "isAccessibleForFree": False, "articleBody": whole}
        head = f'<script type="application/ld+json">{json.dumps(data)}</script>'
        article = assemble([page(shown, head=head)])
        assert (article.method, article.text) == ("json-ld", whole)

    def test_an_article_is(self) -> None:
        assert assemble([page(FIRST)]).text.split("\n\n") == list(FIRST)
