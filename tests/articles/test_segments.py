"""Segments: what one pass over a page's tree tells of its text."""

import pytest
from lxml import html

from worker.articles import segments
from worker.articles.segments import Hints, Segment, Segments, site_of

URL = "https://www.lembah.example/berita/1"
WORDS = {
    "caption": ["caption", "wp caption"],
    "related": ["related", "baca juga"],
    "box": ["box"],
    "lead": ["lead"],
}
SENTENCE = "Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah ditutup tiga bulan."
LONG = f"{SENTENCE} {SENTENCE} {SENTENCE}"


def read(inside: str) -> Segments:
    tree = html.document_fromstring(f"<html><body>{inside}</body></html>")
    return segments.read(tree, URL, Hints(WORDS))


def only(inside: str) -> Segment:
    (found,) = read(inside).all
    return found


def texts(inside: str) -> list[str]:
    return [one.text for one in read(inside).all]


class TestBlocks:
    @pytest.mark.parametrize(
        ("inside", "expected"),
        [
            ("<p>a</p><p>b</p>", ["a", "b"]),
            ("<div>a<br>b<br/>c</div>", ["a", "b", "c"]),
            ("<p>a <b>b</b> c <a href=x>d</a>, e</p>", ["a b c d, e"]),
            ("<div>a<p>b</p>c</div>", ["a", "b", "c"]),
            ("<p> a\n\t b&nbsp;c </p>", ["a b c"]),
            ("<p>a<p>b</p></p>c", ["a", "b", "c"]),
            ("<ul><li>a<li>b</ul>", ["a", "b"]),
            ("<table><tr><td>a<td>b</table>", ["a", "b"]),
            ("a<script>b</script>c", ["ac"]),
            ("<p>a</p><svg><text>b</text></svg><noscript><p>c</p></noscript>d", ["a", "d"]),
            ("<form><p>a</p><select><option>b</select></form>", ["a"]),
            ("", []),
        ],
    )  # fmt: skip
    def test_each_is_one_segment(self, inside: str, expected: list[str]) -> None:
        assert texts(inside) == expected

    def test_they_are_numbered_and_know_their_element(self) -> None:
        found = read("<h1>a</h1><ul><li>b</li></ul><p>c</p>").all
        assert [(one.index, one.element) for one in found] == [(0, "h1"), (1, "li"), (2, "p")]

    def test_the_article_around(self) -> None:
        found = read("<p>a</p><article><p>b</p></article><article>c</article>d").all
        assert [one.article for one in found] == [0, 1, 2, 0]


class TestLinks:
    @pytest.mark.parametrize(
        ("href", "is_own"),
        [
            ("/berita/2", True),
            ("2", True),
            ("https://lembah.example/x", True),
            ("http://foto.lembah.example", True),
            ("//www.lembah.example/x", True),
            ("https://lain.example/x", False),
            ("https://lembah.example.org/x", False),
            ("mailto:a@lembah.example", False),
            ("#catatan", False),
            ("javascript:void(0)", False),
            ("https://[::1", False),
        ],
    )
    def test_into_the_same_site(self, href: str, is_own: bool) -> None:
        found = only(f"<p>abc <a href='{href}'>defg</a></p>")
        assert (found.links, found.own_links) == (4, 4 if is_own else 0)

    def test_bold_and_italics(self) -> None:
        assert only("<p><strong>ab <em>cd</em></strong> ef</p>").strong == 4

    def test_prose_is_long_and_no_link(self) -> None:
        assert only(f"<p>{SENTENCE}</p>").is_prose
        assert not only("<p>Jembatan dibuka lagi.</p>").is_prose
        assert not only(f"<p><a href=/x>{SENTENCE}</a></p>").is_prose

    def test_a_script_without_blanks_needs_fewer_characters(self) -> None:
        assert only(
            "<p>三年前に閉校した霧ノ浦市立浜小学校の図書室が七日、朝市の買い物客が</p>"
        ).is_prose

    @pytest.mark.parametrize(
        ("url", "site"),
        [
            ("https://www.a.example/x", "a.example"),
            ("https://a.b.co.id:81/", "b.co.id"),
            ("", ""),
            ("https://[::1", ""),
            ("mailto:x", ""),
        ],
    )
    def test_the_site_of_a_url(self, url: str, site: str) -> None:
        assert site_of(url) == site


class TestHints:
    @pytest.mark.parametrize(
        ("markup", "hints"),
        [
            ("<p class='wp-caption'>a</p>", {"caption"}),
            ("<p class='photoCaption'>a</p>", {"caption"}),
            ("<p class='photo__caption--wide x'>a</p>", {"caption"}),
            ("<p class='BACA_JUGA'>a</p>", {"related"}),
            ("<p id='related'>a</p>", {"related"}),
            ("<p class='correlated'>a</p>", set()),
            ("<p class='baca x juga'>a</p>", set()),
            ("<figcaption>a</figcaption>", {"caption"}),
            ("<figure><span>a</span></figure>", {"caption"}),
            ("<my-photo class=caption><p>a</p></my-photo>", {"caption"}),
            ("<aside class=related><p>a</p></aside>", {"aside", "related"}),
            ("<p class=''>a</p>", set()),
        ],
    )
    def test_of_class_name_and_element(self, markup: str, hints: set[str]) -> None:
        found = read(f"<p>{LONG}</p>{markup}<p>{LONG}</p>").all
        assert found[1].hints == hints
        assert not found[0].hints | found[2].hints

    def test_what_wraps_the_article_says_nothing(self) -> None:
        found = read(f"<div class='lead related'><p>{LONG}</p><p>a</p></div>").all
        assert not any(one.hints for one in found)

    def test_but_a_long_list_is_one(self) -> None:
        items = f"<li>{SENTENCE}</li>" * 5
        found = read(f"<p>{LONG}</p><ul class=related>{items}</ul>").all
        assert all("related" in one.hints for one in found[1:])

    def test_captions_that_are_all_the_text_are_the_text(self) -> None:
        found = read(f"<div class=caption><p>{LONG}</p></div>" * 5).all
        assert not any(one.hints for one in found)

    def test_a_box_is_small(self) -> None:
        small = read(f"<p>{LONG}</p>" * 5 + f"<div class=box><p>{SENTENCE}</p></div>")
        large = read(f"<p>{LONG}</p>" * 5 + f"<div class=box><p>{LONG}</p></div>" * 2)
        assert [one.hints for one in small.all][-1] == {"box"}
        assert any("box" not in one.hints for one in read(f"<div class=box>{LONG}</div>").all)
        assert large.all[-1].hints == {"box"}

    def test_names_are_read_no_further_than_names_are_long(self) -> None:
        assert only(f"<p class='{'x ' * 300_000} caption'>a</p>").hints == set()


class TestFind:
    def test_white_space_and_list_marks_are_nothing(self) -> None:
        page = read("<li>a  b</li><p>c</p>")
        found = page.find("- a b", -1)
        assert found
        assert found.index == 0

    def test_the_next_of_equal_ones(self) -> None:
        page = read("<p>a</p><p>b</p><p>a</p>")
        assert [found.index for after in (-1, 0, 2) if (found := page.find("a", after))] == [
            0,
            2,
            0,
        ]

    def test_one_that_begins_so(self) -> None:
        page = read(f"<p>{LONG}</p>")
        assert page.find(f"{SENTENCE} Lalu lain.", -1) is page.all[0]
        assert page.find("Jembatan", -1) is None
        assert page.find("x" * 100, -1) is None


@pytest.mark.parametrize("tag", ["div", "ul", "span", "a", "b", "article", "section class=related"])
def test_depth_is_no_danger(tag: str) -> None:
    for depth in (200, 5_000):
        tree = html.document_fromstring(f"<{tag}>" * depth + "a" + "<p>b</p>")
        found = segments.read(tree, URL, Hints(WORDS)).all
        assert all(len(one.marks) <= 50 for one in found)
