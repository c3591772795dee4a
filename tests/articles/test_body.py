"""Bodies: which extraction of a page is believed, and what is put back."""

from lxml import html

from worker.articles import body, segments
from worker.articles.body import Own, Selection
from worker.articles.segments import Hints, Segments

URL = "https://www.lembah.example/berita/1"
SENTENCE = "Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah ditutup tiga bulan."
PARTS = [f"Bagian {number}. {SENTENCE} {SENTENCE}" for number in range(10)]
TEXT = [f"<p>{part}</p>" for part in PARTS]
HINTS = {"related": ["related"], "lead": ["subhead"], "recipe": ["zutaten"]}
TEASER = "<div class=item><h3><a href=/2>Kereta</a></h3><p>{}</p></div>"


def read(inside: str) -> Segments:
    tree = html.document_fromstring(f"<html><body>{inside}</body></html>")
    return segments.read(tree, URL, Hints(HINTS))


def texts(lines: list[body.Line]) -> list[str]:
    return [one.text for one in lines]


def never() -> str:
    raise AssertionError("that extraction was not needed")


class TestOwn:
    def test_it_is_sure_when_it_has_nearly_all(self) -> None:
        own = Own(read(f"<div class=text>{''.join(TEXT)}</div><div><p>{SENTENCE}</p></div>"))
        assert own.is_sure
        assert texts(own.lines()) == PARTS

    def test_not_when_there_is_as_much_elsewhere(self) -> None:
        page = read(f"<div class=a>{''.join(TEXT[:5])}</div><div class=b>{''.join(TEXT[5:])}</div>")
        assert not Own(page).is_sure

    def test_not_when_it_is_short(self) -> None:
        assert not Own(read(f"<div class=text>{''.join(TEXT[:2])}</div>")).is_sure

    def test_not_when_it_is_of_two_articles(self) -> None:
        page = read(f"<article>{''.join(TEXT[:4])}</article><article>{''.join(TEXT[4:])}</article>")
        assert not Own(page).is_sure

    def test_both_sides_of_an_advertisement(self) -> None:
        halves = [f"<div class=text>{''.join(TEXT[n : n + 5])}</div>" for n in (0, 5)]
        assert texts(Own(read("<div>Iklan</div>".join(halves))).lines()) == PARTS

    def test_headings_lists_and_tables_between(self) -> None:
        between = "<h2>Janji</h2>", "<ol><li>Perahu</li></ol>", "<table><tr><td>a<td>b</table>"
        inside = "".join(text + more for text, more in zip(TEXT, between, strict=False))
        lines = texts(Own(read(f"<div class=text>{inside}{TEXT[3]}</div>")).lines())
        assert lines == [PARTS[0], "Janji", PARTS[1], "Perahu", PARTS[2], "a | b", PARTS[3]]

    def test_nothing_of_an_empty_page(self) -> None:
        assert not Own(read("")).lines()

    def test_a_heading_beside_the_element_of_its_short_paragraph(self) -> None:
        short = "Perahu itu tetap berlayar setiap jam sekali."
        page = read(
            f"<div class=text>{''.join(TEXT[:4])}</div><h2 class=subhead>Janji</h2>"
            f"<div class=text><p>{short}</p>{''.join(TEXT[4:])}</div>"
        )
        assert texts(Own(page).lines()) == [*PARTS[:4], "Janji", short, *PARTS[4:]]


class TestChoose:
    def test_no_extraction_is_asked_when_the_structure_is_plain(self) -> None:
        lines, method = body.choose(never, never, read(f"<div class=text>{''.join(TEXT)}</div>"))
        assert (texts(lines), method) == (PARTS, "container")

    PAGE = f"<div class=a>{''.join(TEXT[:6])}</div><div class=b>{''.join(TEXT[6:])}</div>"

    def test_the_fast_one_when_it_kept_enough(self) -> None:
        lines, method = body.choose(lambda: "\n".join(PARTS), never, read(self.PAGE))
        assert (texts(lines), method) == (PARTS, "fast")

    def test_the_standard_one_when_that_has_far_more(self) -> None:
        lines, method = body.choose(lambda: PARTS[0], lambda: "\n".join(PARTS), read(self.PAGE))
        assert (texts(lines), method) == (PARTS, "standard")

    def test_not_when_that_has_teasers_only(self) -> None:
        items = "".join(TEASER.format(part) for part in PARTS[1:])
        page = read(f"<div class=a><p>{PARTS[0]}</p><p>{SENTENCE}</p></div>{items}")
        lines, method = body.choose(lambda: PARTS[0], lambda: "\n".join(PARTS), page)
        assert method == "fast"
        assert PARTS[1] not in texts(lines)

    def test_our_own_when_neither_found_one(self) -> None:
        lines, method = body.choose(lambda: "", lambda: "", read(self.PAGE))
        assert method == "container"
        assert set(PARTS[:4]) <= set(texts(lines))

    def test_our_own_when_the_menus_came_with_it(self) -> None:
        menu = [f"Menu {number}" for number in range(150)]
        page = read(
            f"<div class=text>{''.join(TEXT[:2])}</div>"
            + "".join(f"<div class=b{n}><p>{SENTENCE}</p></div>" for n in range(3))
        )
        lines, method = body.choose(lambda: "\n".join([*menu, PARTS[0]]), str, page)
        assert (texts(lines)[:2], method) == (PARTS[:2], "container")

    def test_our_own_when_the_page_came_as_one_heap(self) -> None:
        heap = "Beranda " + " ".join(PARTS) + " Hak cipta"
        lines, method = body.choose(lambda: heap, lambda: heap, read(self.PAGE))
        assert method == "container"
        assert set(PARTS[:4]) <= set(texts(lines))


class TestPutBack:
    def test_what_an_advertisement_cut_off(self) -> None:
        page = read(f"<div class=text>{''.join(TEXT[:4])}</div>x<div class=text>{TEXT[4]}</div>")
        assert texts(body.put_back(body.align(PARTS[:4], page), page)) == PARTS[:5]

    def test_in_its_place(self) -> None:
        page = read(f"<div class=text>{''.join(TEXT[:5])}</div>")
        lines = body.align([*PARTS[:2], *PARTS[3:5]], page)
        assert texts(body.put_back(lines, page)) == PARTS[:5]

    def test_a_heading_above_kept_text(self) -> None:
        page = read(f"<div class=text>{TEXT[0]}<h2>Janji</h2>{TEXT[1]}</div>")
        assert texts(body.put_back(body.align(PARTS[:2], page), page)) == [
            PARTS[0],
            "Janji",
            PARTS[1],
        ]

    def test_a_heading_above_a_paragraph_that_is_put_back(self) -> None:
        page = read(f"<div class=text>{''.join(TEXT[:3])}<h2>Janji</h2>{TEXT[3]}</div>")
        lines = body.put_back(body.align(PARTS[:3], page), page)
        assert texts(lines) == [*PARTS[:3], "Janji", PARTS[3]]

    def test_what_a_dish_is_made_of(self) -> None:
        items = "<ul class=zutaten><li>200 g Mehl</li><li><a href=/3>Zum Shop</a></li></ul>"
        page = read(f"{items}<div class=text>{''.join(TEXT[:3])}</div>")
        lines = body.put_back(body.align(PARTS[:3], page), page)
        assert texts(lines) == ["200 g Mehl", *PARTS[:3]]

    def test_an_element_whose_class_has_one_word_more(self) -> None:
        page = read(
            f"<div class='body text'>{''.join(TEXT[:4])}</div>"
            f"<div class='body text last'>{TEXT[4]}</div>"
        )
        assert texts(body.put_back(body.align(PARTS[:4], page), page)) == PARTS[:5]

    def test_nothing_of_another_shape(self) -> None:
        page = read(f"<div class=text>{''.join(TEXT[:4])}</div><div class=more>{TEXT[4]}</div>")
        lines = body.align(PARTS[:4], page)
        assert body.put_back(lines, page) == lines

    def test_nothing_that_is_called_related(self) -> None:
        page = read(f"<div class=t>{''.join(TEXT[:4])}<div class='t related'>{TEXT[4]}</div></div>")
        assert texts(body.put_back(body.align(PARTS[:4], page), page)) == PARTS[:4]


def test_lines_are_found_in_the_pages_order() -> None:
    page = read(f"<p>Ya</p>{TEXT[0]}<p>Ya</p>")
    found = [one.segment.index for one in body.align(["Ya", PARTS[0], "Ya"], page) if one.segment]
    assert found == [0, 1, 2]


def test_a_row_of_a_table_and_a_line_of_none() -> None:
    page = read("<p>x</p>")
    assert texts(body.align(["| a | b | |", "|---|---|", "***", "", "x"], page)) == ["a | b", "x"]


def test_a_selection_that_kept_little_is_doubtful() -> None:
    page = read(TestChoose.PAGE)
    assert Selection(body.align(PARTS[:2], page), page).is_doubtful
    assert not Selection(body.align(PARTS, page), page).is_doubtful
