"""Cleaning: what is dropped from a body, what stays, and which rule says so."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import html

from worker.articles import body, clean, furniture, rules, scripted, segments, source
from worker.articles.body import Line
from worker.articles.clean import Facts
from worker.articles.rules import Phrases
from worker.errors import KabarError

URL = "https://www.lembah.example/berita/1"
LANGUAGES = {
    "id", "ms", "en", "es", "fr", "de", "pt", "it", "nl", "pl", "tr", "ru", "ar", "zh", "ja", "hi",
    "vi",
}  # fmt: skip
ROOT = Path(__file__).parents[2]
RULES = rules.compiled(ROOT / "config")
FIRST = "Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah ditutup selama tiga bulan."
SECOND = (
    "Warga menari di atasnya sampai malam, dan pedagang bakso kehabisan kuah sebelum pukul tujuh."
)
THIRD = "Wali kota berjanji bahwa jembatan kedua, yang lebih lebar, akan dibangun tahun depan juga."
LAST = (
    "Sementara itu perahu penyeberangan tetap berlayar setiap jam sampai akhir bulan depan nanti."
)


def judged(inside: str, facts: Facts | None = None, host: str = "lembah.example") -> list[Line]:
    """The lines of a body that has all of `inside`, with the rules that dropped some."""
    tree = html.document_fromstring(f"<html><body>{inside}</body></html>")
    site = RULES.site(host)
    page = segments.read(tree, URL, site.hints)
    lines = [body.line(one.text, one) for one in page.all]
    clean.judge(lines, page, facts or Facts(), RULES, site)
    return lines


def rule(markup: str, where: str = "middle", facts: Facts | None = None) -> str:
    """The rule that drops the block `markup` between, above or below paragraphs; "" for none."""
    before = "" if where == "top" else f"<p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p>"
    after = "" if where == "end" else f"<p>{THIRD}</p><p>{SECOND}</p><p>{LAST}</p>"
    lines = judged(f"{before}{markup}{after}", facts)
    kept = {FIRST, SECOND, THIRD, LAST}
    assert all(not one.rule for one in lines if one.text in kept), "a paragraph was dropped"
    (line,) = (one for one in lines if one.text not in kept)
    return line.rule


ABROAD = "<a href='//x.example/1'>Jembatan Kedua Dibangun Tahun Depan, Kata Wali Kota</a>"
LINK = "<a href='/berita/2'>Jembatan Kedua Dibangun Tahun Depan</a>"


class TestPromotions:
    @pytest.mark.parametrize(
        "markup",
        [
            f"<p><strong>Baca Juga: {LINK}</strong></p>",
            f"<p>BACA JUGA : {LINK}</p>",
            f"<p>Baca juga {LINK}</p>",
            "<p>Baca juga: Jembatan Kedua Dibangun Tahun Depan</p>",
            "<p>Baca Juga</p>",
            f"<p>Pilihan Editor: {LINK}</p>",
            f"<p>Simak juga: {LINK}</p>",
            '<p>Simak Video "Jembatan Kota"</p>',
            f"<p>Read more: {LINK}</p>",
            f"<p>Lesen Sie auch: {LINK}</p>",
            f"<p>À lire aussi : {LINK}</p>",
            f"<p>Lea también: {LINK}</p>",
            f"<p>Leia também: {LINK}</p>",
            f"<p>Leggi anche: {LINK}</p>",
            f"<p>Lees ook: {LINK}</p>",
            f"<p>Czytaj też: {LINK}</p>",
            f"<p>İlgili haber: {LINK}</p>",
            f"<p>Читайте также: {LINK}</p>",
            f"<p>اقرأ أيضا: {LINK}</p>",
            f"<p>相关阅读：{LINK}</p>",
            f"<p>関連記事：{LINK}</p>",
            f"<p>यह भी पढ़ें: {LINK}</p>",
            f"<p>Xem thêm: {LINK}</p>",
            f"<p>Baca lagi: {LINK}</p>",
        ],
    )
    def test_are_dropped(self, markup: str) -> None:
        assert rule(markup) == "promotion"

    @pytest.mark.parametrize(
        "markup",
        [
            "<p>Baca juga pernah menjadi nama perahu di kota itu, kata seorang nelayan tua.</p>",
            "<p>Baca juga buku, pesan guru itu.</p>",
            "<p>Read more slowly, the teacher told them, and you will remember more of it.</p>",
            f"<p>Warga menyebut {LINK} sebagai janji lama yang belum dipenuhi oleh kota itu.</p>",
            "<p>Lihat juga ke hulu, katanya.</p>",
        ],
    )
    def test_a_sentence_that_begins_so_stays(self, markup: str) -> None:
        assert rule(markup) == ""

    @pytest.mark.parametrize(
        ("markup", "dropped"),
        [
            (f"<p><b>Sejarah: {LINK}</b></p>", True),
            (f"<p><b>Kisah lengkapnya dalam {LINK}</b></p>", True),
            (f"<p>Sejarah: {LINK}</p>", True),
            (f"<p><b>Sejarah: {ABROAD}</b></p>", True),
            (f"<p>Sejarah: {ABROAD}</p>", False),
            ("<p><b>Akun: <a href='https://x.example/1'>@rani</a></b></p>", False),
            (f"<ul><li>Sejarah: {LINK}</li></ul>", False),
            ("<p><b>Sejarah: jembatan itu tua.</b></p>", False),
        ],
    )  # fmt: skip
    def test_a_link_behind_whatever_label_or_in_bold(self, markup: str, dropped: bool) -> None:
        assert rule(markup) == ("linked line" if dropped else "")

    def test_a_bare_label_takes_the_links_below_it(self) -> None:
        lines = judged(f"<p>{FIRST}</p><p>Baca Juga</p><p>{LINK}</p><p>{SECOND}</p>")
        assert [one.rule for one in lines] == ["", "promotion", "promotion", ""]


class TestAroundTheText:
    @pytest.mark.parametrize(
        ("markup", "where", "expected"),
        [
            (f"<p>{LINK}</p>", "middle", "linked line"),
            ("<p>ADVERTISEMENT</p>", "middle", "furniture"),
            ("<p>SCROLL TO CONTINUE WITH CONTENT</p>", "middle", "furniture"),
            ("<p>Halaman 2 dari 3</p>", "end", "furniture"),
            ("<p>[Gambas:Video 20detik]</p>", "middle", "shortcode"),
            ("<p>[button link='x' type='big']Kirim[/button]</p>", "middle", "shortcode"),
            ("<p>Foto: Dok. PDAM</p>", "middle", "credit"),
            ("<p>Foto: Rani/ANTARA</p>", "middle", "credit"),
            ("<p>© Kabar Lembah</p>", "middle", "credit"),
            ("<p>Abbildung 4: Der Bach</p>", "middle", "caption"),
            ("<p><em>Jembatan dari arah pasar. Foto: Dok. PDAM</em></p>", "middle", "caption"),
            ("<div class='photo__caption'>Jembatan dari arah pasar</div>", "middle", "in caption"),
            ("<p class='newsletter-box'>Tiap pagi di surel Anda</p>", "middle", "in promo"),
            ("<p>Sabtu, 22 Januari 2022 | 16:57 WIB</p>", "top", "opening"),
            ("<p>Penulis: Rani Sasmita | Editor: Budi</p>", "top", "opening"),
            ("<p>3 menit baca</p>", "top", "opening"),
            ("<p>Editor: Alfian Ahmad</p>", "end", "ending"),
            ("<p>Sumber: PDAM</p>", "end", "ending"),
            ("<p>(ams/sip)</p>", "end", "ending"),
            ("<p>COPYRIGHT © ANTARA 2022</p>", "end", "credit"),
            ("<p>rani@lembah.example</p>", "end", "ending"),
            ("<p>dpa/ams</p>", "end", "author's note"),
            ("<p><a href=//x.example/k>KommentareTeilen</a></p>", "top", "opening"),
            ("<p>$$IKLAN$$</p>", "middle", "shortcode"),
            ("<div class='modal-body'>Terima kasih sudah mendaftar</div>", "middle", "in dialog"),
            ("<p>Artikel ini telah tayang di Kabar Lembah dengan judul lain</p>", "end",
             "call to action"),
            ("<p>Ikuti kami di Google News</p>", "middle", "call to action"),
            ("<p>Baca berita Tribun lainnya di Google News</p>", "end", "call to action"),
            ("<p>Sign up for our newsletter.</p>", "end", "call to action"),
            ("<h3>Terpopuler</h3>", "end", "tail"),
        ],
    )  # fmt: skip
    def test_is_dropped_by_its_rule(self, markup: str, where: str, expected: str) -> None:
        assert rule(markup, where) == expected

    @pytest.mark.parametrize(
        ("markup", "where"),
        [
            ("<p>Foto jembatan itu kini tergantung di balai kota.</p>", "middle"),
            ("<p>Editor koran itu menolak berkomentar.</p>", "end"),
            ("<p>Sumber mata air itu tak pernah kering.</p>", "end"),
            ("<p>Komentar warga beragam, tetapi kebanyakan senang.</p>", "middle"),
            ("<p>Sign up sheets for the meeting went round both shops by noon.</p>", "end"),
            ("<p>Iklan itu berhenti tayang pekan lalu.</p>", "middle"),
            ("<h2>Janji wali kota</h2>", "middle"),
            ("<p>\"Ya.\"</p>", "end"),
            ("<blockquote>Kami tidak akan pindah.</blockquote>", "middle"),
            ("<p>Halaman rumahnya terendam.</p>", "middle"),
        ],
    )  # fmt: skip
    def test_text_stays(self, markup: str, where: str) -> None:
        assert rule(markup, where) == ""

    def test_a_list_of_links(self) -> None:
        items = "".join(f"<li>Kota: <a href=/{n}>Berita nomor {n}</a></li>" for n in range(3))
        lines = judged(f"<p>{FIRST}</p><p>{SECOND}</p><ul>{items}</ul><p>{THIRD}</p>")
        assert [one.rule for one in lines] == ["", "", *["linked list"] * 3, ""]

    def test_a_list_of_text_stays(self) -> None:
        lines = judged(
            f"<p>{FIRST}</p><ul><li>1. Perahu</li><li>2. Jembatan</li></ul><p>{LAST}</p>"
        )
        assert not any(one.rule for one in lines)

    def test_all_below_a_heading_at_the_end(self) -> None:
        below = f"<h3>Terpopuler</h3><p>Harga beras turun</p><p>{LINK}</p><p>Cuaca besok</p>"
        lines = judged(f"<p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p>{below}")
        assert [bool(one.rule) for one in lines] == [False] * 3 + [True] * 4

    def test_not_when_an_article_goes_on_below_it(self) -> None:
        lines = judged(f"<p>{FIRST}</p><h3>Video</h3><p>{SECOND}</p><p>{THIRD}</p>")
        assert not any(one.rule for one in lines if one.is_prose)

    def test_not_even_behind_the_middle(self) -> None:
        start = f"<p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p><p>{LAST}</p>"
        lines = judged(f"{start}<h3>Terpopuler</h3><p>{SECOND[5:]}</p><p>{THIRD[5:]}</p>")
        assert not any(one.rule for one in lines if one.is_prose)

    def test_about_the_company(self) -> None:
        lines = judged(f"<p>{FIRST}</p><p>{SECOND}</p><h3>About Lembah Ltd</h3><p>{LAST}</p>")
        assert [one.rule for one in lines] == ["", "", "boilerplate", "boilerplate"]

    def test_linked_headings_of_an_article_that_lists_things(self) -> None:
        parts = "".join(
            f"<h2><a href=/{n}>Tempat makan nomor {n}</a></h2><p>{FIRST}</p>" for n in range(4)
        )
        assert not any(one.rule for one in judged(parts))

    def test_what_a_class_name_says_is_not_believed_of_most_of_a_body(self) -> None:
        lines = judged(f"<div class=comments><p>{FIRST}</p></div><p>{SECOND}</p>")
        assert not any(one.rule for one in lines)

    def test_nor_of_a_body_that_is_full_of_such(self) -> None:
        short = "".join(f"<p>Kabar nomor {n} dari tepi sungai kota</p>" for n in range(9))
        lines = judged(f"<p>{FIRST}</p><p>{SECOND}</p><div class=share>{short}</div>")
        assert not any(one.rule for one in lines)


class TestHeadlineAndLead:
    TITLE = "Jembatan Lama Dibuka Lagi Setelah Tiga Bulan"

    @pytest.mark.parametrize(
        "shown",
        [
            f"<h1>{TITLE}</h1>",
            f"<p>{TITLE.upper()}</p>",
            f"<div>{TITLE}!</div>",
            f"<h2>KOTA {TITLE}</h2>",
            f"<p>{TITLE} - Kabar Lembah</p>",
        ],
    )
    def test_the_headline_above_the_text(self, shown: str) -> None:
        assert rule(shown, "top", Facts((self.TITLE,))) == "headline"

    def test_its_words_in_the_text_stay(self) -> None:
        assert rule(f"<p>{self.TITLE}</p>", "middle", Facts((self.TITLE,))) == ""

    def lead(self, inside: str, description: str = "") -> str | None:
        tree = html.document_fromstring(f"<html><body>{inside}</body></html>")
        page = segments.read(tree, URL, RULES.default.hints)
        kept = [one for one in page.all if one.element == "p"]
        lines = [body.line(one.text, one) for one in kept]
        facts = Facts((self.TITLE,), description)
        return clean.judge(lines, page, facts, RULES, RULES.default)

    TEXT = f"<div class=text><p>{SECOND}</p><p>{THIRD}</p><p>{LAST}</p></div>"

    def test_named_so(self) -> None:
        inside = f"<h1>{self.TITLE}</h1><div class=standfirst>{FIRST}</div>{self.TEXT}"
        assert self.lead(inside) == FIRST

    def test_as_the_description_says(self) -> None:
        inside = f"<div><span>{FIRST}</span></div>{self.TEXT}"
        assert self.lead(inside, FIRST) == FIRST
        long = f"{FIRST} {SECOND * 8}"
        assert self.lead(f"<div>{long}</div>{self.TEXT}", FIRST) == long
        assert self.lead(f"<div>{long}</div>{self.TEXT}", "") is None

    def test_several_subtitles(self) -> None:
        other = "Pedagang bakso di kedua tepinya kehabisan kuah sebelum pukul tujuh malam itu juga."
        inside = f"<div class=subtitle><h2>{FIRST}</h2><h2>{other}</h2><h2>Kota</h2></div>"
        assert self.lead(f"<h1>{self.TITLE}</h1>{inside}{self.TEXT}") == f"{FIRST} {other}"

    def test_far_above_where_it_is_named(self) -> None:
        offers = "<p>Langganan</p>" * 60
        inside = f"<h1>{self.TITLE}</h1><div class=standfirst>{FIRST}</div>{offers}{self.TEXT}"
        assert self.lead(inside) == FIRST
        assert self.lead(inside.replace("standfirst", "x")) is None

    def test_not_when_it_is_a_paragraph_like_the_others(self) -> None:
        inside = f"<div><p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p></div>"
        assert self.lead(inside, FIRST) is None

    def test_not_one_that_is_called_related_too(self) -> None:
        inside = f"<h1>{self.TITLE}</h1><div class='lead related'>{FIRST}</div>{self.TEXT}"
        assert self.lead(inside) is None

    def test_a_caption_is_none(self) -> None:
        assert (
            self.lead(f"<h1>{self.TITLE}</h1><figcaption>{FIRST}</figcaption>{self.TEXT}") is None
        )


class TestFurniture:
    def test_what_the_site_repeats(self) -> None:
        lines = judged(
            f"<p>{FIRST}</p><p>{SECOND}</p><p>{LAST}</p>",
            Facts(repeated=frozenset({furniture.key(LAST)})),
        )
        assert [one.rule for one in lines] == ["", "", "learned furniture"]

    def test_never_more_than_half_of_an_article(self) -> None:
        repeated = frozenset(map(furniture.key, (SECOND, LAST)))
        lines = judged(f"<p>{FIRST}</p><p>{SECOND}</p><p>{LAST}</p>", Facts(repeated=repeated))
        assert not any(one.rule for one in lines)

    def test_nor_of_what_other_rules_leave_of_it(self) -> None:
        box = f"{LAST} Daftar di sini, gratis."
        lines = judged(
            f"<p>{FIRST}</p><p>Baca Juga: {LINK}</p><p>BACA JUGA : {LINK}</p><p>{box}</p>",
            Facts(repeated=frozenset({furniture.key(box)})),
        )
        assert [one.rule for one in lines] == ["", "promotion", "promotion", ""]

    @pytest.mark.parametrize(("below", "kept"), [(THIRD, True), (LAST, False), ("", False)])
    def test_a_heading_stays_with_the_text_below_it(self, below: str, kept: bool) -> None:
        repeated = frozenset(map(furniture.key, ("Konteks", LAST)))
        text = "".join(f"<p>{one}</p>" for one in (FIRST, SECOND, f"{FIRST} {SECOND}"))
        lines = judged(f"{text}<h2>Konteks</h2><p>{below}</p>", Facts(repeated=repeated))
        assert ("Konteks" in [one.text for one in lines if not one.rule]) is kept


class TestOutside:
    """What stands at the end and not in the element that holds the text."""

    PAGE = f"<div class=text><p>{FIRST}</p><p>{SECOND}</p><p>{THIRD}</p><p>{LAST}</p></div>"

    def dropped(self, inside: str) -> list[str]:
        return [one.text for one in judged(inside) if one.rule == "outside"]

    def test_is_dropped(self) -> None:
        inside = f"{self.PAGE}<div class=bawah><p>Tetap bersama Lembah</p></div>"
        assert self.dropped(inside) == ["Tetap bersama Lembah"]

    def test_not_in_the_middle_and_not_above(self) -> None:
        inside = f"<div class=atas><p>Kata wali kota</p></div>{self.PAGE}"
        assert not self.dropped(f"<div>{inside}</div>")

    def test_not_what_is_shaped_like_the_text(self) -> None:
        assert not self.dropped(f"{self.PAGE}<div class=text><p>Kata wali kota</p></div>")

    def test_never_much(self) -> None:
        items = "".join(f"<p>{number}. Perahu</p>" for number in range(20))
        assert not self.dropped(f"{self.PAGE}<div class=bawah>{items}</div>")


def test_a_text_about_subscriptions_keeps_them() -> None:
    offers = "".join(f"<p>Sign up for plan {n}, cheap</p>" for n in range(6))
    texts = f"<p>{FIRST}</p>{offers}" + f"<p>{SECOND}</p><p>{THIRD}</p><p>{LAST}</p>" * 3
    assert not [one for one in judged(texts) if one.rule == "call to action"]


def test_a_subhead_may_be_an_anchor_of_the_navigation() -> None:
    assert rule("<h2 class=jump-to>Janji wali kota</h2>") == ""
    assert rule("<p class=jump-to>Janji wali kota</p>") == "in navigation"


def test_another_article_below() -> None:
    lines = judged(
        f"<article><h1>A</h1><p>{FIRST}</p><p>{SECOND}</p></article>"
        f"<article><h1>Lain</h1><p>{THIRD}</p></article>"
    )
    assert [one.rule for one in lines][-2:] == ["next article", "next article"]


def test_an_authors_note() -> None:
    facts = Facts(authors=("Rani Sasmita",))
    assert rule("<p>Rani Sasmita menulis tentang kota.</p>", "end", facts) == "author's note"
    assert rule("<p>Rani Sasmita menulis tentang kota.</p>", "middle", facts) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Demikian kata dia. (ams/sip)", "Demikian kata dia."),
        ("Demikian kata dia.***", "Demikian kata dia."),
        ("Demikian kata dia. (*)", "Demikian kata dia."),
        ('"Ya," katanya. (NH/H-2)', '"Ya," katanya.'),
        ("Demikian kata dia (ams)", "Demikian kata dia (ams)"),
        ("Ia lahir di kota kecil (bukan desa).", "Ia lahir di kota kecil (bukan desa)."),
        ("***", "***"),
    ],
)
def test_marks_behind_the_last_paragraph(text: str, expected: str) -> None:
    assert clean.without_mark(text) == expected


class TestRules:
    def test_each_language_has_its_words(self) -> None:
        languages = {path.stem for path in (ROOT / "config" / "cleaning").glob("*.toml")}
        assert languages >= LANGUAGES

    def test_no_phrase_is_a_single_letter(self) -> None:
        short = {p for table in RULES.phrases.values() for p in table.all if len(p) < 2}
        assert all(not one.isascii() or not one.isalnum() for one in short)

    def test_phrases_end_with_a_word(self) -> None:
        phrases = Phrases(["baca juga", "Lihat", "相关"])
        assert phrases.begin("baca juga: x") == len("baca juga")
        assert phrases.begin("baca jugaan") == 0
        assert phrases.begin("lihatlah") == 0
        assert phrases.begin("相关新闻") == 2
        assert phrases.begin("") == 0

    def test_a_phrase_within(self) -> None:
        phrases = Phrases(["google news", "電子報"])
        assert phrases.within("ikuti di google news")
        assert phrases.within("請訂閱電子報")
        assert not phrases.within("google maps")
        assert not phrases.within("")

    def test_a_file_of_another_folder(self, tmp_path: Path) -> None:
        (tmp_path / "cleaning").mkdir()
        (tmp_path / "sites").mkdir()
        (tmp_path / "cleaning" / "xx.toml").write_text('promo = ["zzz"]\n')
        (tmp_path / "sites" / "a.example.toml").write_text(
            'drop = ["Dukung kami"]\ndrop_classes = ["kotak"]\ntimezone = "Asia/Jayapura"\n'
        )
        found = rules.compiled(tmp_path)
        assert found.phrases["promo"].all == {"zzz"}
        site = found.site("www.A.example")
        assert (str(site.zone), site.drop.begin("dukung kami hari ini")) == ("Asia/Jayapura", 11)
        assert site.hints.of("div", "kotak") == {"site"}
        assert found.site("b.example") is found.default

    @pytest.mark.parametrize("content", ["promo = [", 'promotion = ["x"]', "promo = [\xff"])
    def test_a_broken_file_is_named(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "cleaning").mkdir()
        (tmp_path / "cleaning" / "xx.toml").write_bytes(content.encode("latin-1"))
        with pytest.raises(KabarError, match=r"xx\.toml"):
            rules.compiled(tmp_path)

    def test_a_sites_own_lines(self) -> None:
        assert RULES.site("news.detik.com").has_datelines
        assert not RULES.site("detik.com.example").has_datelines


PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": pattern
    for module in (clean, rules, scripted, segments, source)
    for name, pattern in vars(module).items()
    if isinstance(pattern, re.Pattern)
}
HOSTILE = (
    "<script ",
    '<script type="application/json" ',
    "</svg",
    "<svg a='",
    "((a/b",
    "(a-",
    "aA",
    "20 19 ",
    "_a",
    "9" * 50,
    " . ",
    "\u0131",
)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("piece", HOSTILE)
def test_no_pattern_goes_back_and_tries_again(name: str, piece: str) -> None:
    pattern = PATTERNS[name]
    assert_linear(lambda text: sum(1 for _ in pattern.finditer(text)), piece)


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("a<script>b</script>c", "ac"),
        ("a<SCRIPT src=x>b</Script >c", "ac"),
        ("a<script>'<style>'</script>b<style>c</style>d", "abd"),
        ("a<svg><path/></svg>b", "ab"),
        ("a<svg>b<p>c</p></svg>d", "a<svg>b<p>c</p></svg>d"),
        ("a<script>b", "a<script>b"),
        ("a<script type='application/ld+json'>{}</script>b", None),
        ("a<scripture>b</scripture>", None),
        ("", None),
    ],
)
def test_what_shows_no_text_is_cut(raw: str, left: str | None) -> None:
    assert source.without_unseen(raw) == (raw if left is None else left)


@pytest.mark.parametrize("piece", ["<script>", "<svg>", "</script>", "<style><svg ", "<svg><p>"])
def test_scripts_are_cut_in_one_pass(piece: str) -> None:
    assert_linear(lambda text: len(source.without_unseen(text)), piece)


@pytest.mark.parametrize(
    "block",
    [
        f"<p>{FIRST}</p>", "<p>Baca juga</p>", "<h3>Terkait</h3><p>x</p>",
        "<li><a href=/x>xxxxx</a></li>", "<h2><a href=/x>Judul yang lain lagi</a></h2>",
        f"<article><h1>x</h1><p>{FIRST}</p></article>", "<p>Foto: Foto: Foto:</p>", "<td>1</td>",
        f"<div class=box><p>{FIRST}</p></div>", "x<br>",
    ],
)  # fmt: skip
def test_the_rules_take_time_by_the_line(block: str) -> None:
    def run(text: str) -> int:
        tree = html.document_fromstring(f"<html><body><div>{text}</div></body></html>")
        page = segments.read(tree, URL, RULES.default.hints)
        lines, _ = body.choose(lambda: "\n".join(one.text for one in page.all), lambda: "", page)
        clean.judge(lines, page, Facts(("x",)), RULES, RULES.default)
        return len(lines)

    assert_linear(run, block, size=20_000)


def assert_linear(run: Callable[[str], int], piece: str, size: int = 200_000) -> None:
    """Eight times the text takes nowhere near 64 times as long."""
    text = piece * (size // len(piece))

    def cost(text: str) -> float:
        began = time.process_time()
        run(text)
        return time.process_time() - began

    run(text)
    small = min(cost(text) for _ in range(3))
    large = min(cost(text * 8) for _ in range(2))
    assert large < 40 * max(small, 0.002)
