"""Articles over several pages: what is found of them, and what is fetched."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import Page, gather
from worker.articles.pages import MOST_PARTS, Gathered, following

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
URL = "https://lembah.example/berita/jembatan-dibuka"


def page(body: str = "", url: str = URL) -> Page:
    return Page(url, f"<html><body>{body}</body></html>".encode(), None, NOW)


def link(href: str, text: str = "2") -> str:
    return f'<a href="{href}">{text}</a>'


def found(body: str, url: str = URL) -> str | None:
    wanted = following([page(body, url)])
    return wanted.url if wanted else None


class TestTheNextPart:
    @pytest.mark.parametrize(
        ("href", "text"),
        [
            (f"{URL}?page=2", "2"),
            ("?page=2", "Selanjutnya"),
            ("?halaman=2", "Halaman 2"),
            ("?hal=2", "Berikutnya"),
            ("?seite=2", "Weiter"),
            ("?pagina=2", "Siguiente"),
            (f"{URL}/2", "Next page »"),
            (f"{URL}/2/", "&gt;"),
            (f"{URL}/page/2", "2"),
            (f"{URL}/seite-2", "Nächste Seite"),
            (f"{URL}/halaman/2", "<span>Baca <b>halaman selanjutnya</b></span>"),
            ("//www.lembah.example/berita/jembatan-dibuka?page=2", "2"),
            ("http://lembah.example/berita/jembatan-dibuka/?page=2", "2 dari 3"),
        ],
    )
    def test_by_its_address_and_its_word(self, href: str, text: str) -> None:
        assert found(link(href, text))

    def test_beside_a_file_name(self) -> None:
        here = "https://lembah.example/musik-16604622.html"
        for name in ("musik-16604622-2.html", "musik-16604622-p2.html", "musik-16604622_2.html"):
            assert found(link(name), here) == f"https://lembah.example/{name}"

    def test_by_its_relation(self) -> None:
        assert found(f'<link rel="next" href="{URL}/2">') == f"{URL}/2"
        assert found('<a rel="nofollow next" href="?page=2"><img src="x"></a>') == f"{URL}?page=2"

    def test_where_the_feeds_link_is_marked(self) -> None:
        assert found(link("?page=2"), f"{URL}?utm_source=rss") == f"{URL}?page=2"
        assert found(link("?id=7&amp;page=2"), f"{URL}?id=7") == f"{URL}?id=7&page=2"
        assert found(link("?page=2"), f"{URL}?page=1") == f"{URL}?page=2"

    def test_at_the_address_that_a_page_calls_its_own(self) -> None:
        canonical = f'<link href="{URL}" rel="canonical">'
        short = "https://lembah.example/r/8812"
        assert found(canonical + link(f"{URL}?page=2"), short) == f"{URL}?page=2"
        other = '<link rel="canonical" href="https://other.example/berita/jembatan-dibuka">'
        there = "https://other.example/berita/jembatan-dibuka?page=2"
        assert found(other + link(there), URL) is None

    def test_of_a_later_page(self) -> None:
        parts = [page(link("?page=2")), page(link("?page=3", "Selanjutnya"), f"{URL}?page=2")]
        assert following(parts) == (f"{URL}?page=3", False)
        assert following([*parts, page(link("?page=2"), f"{URL}?page=3")]) is None

    def test_is_not_asked_for_twice(self) -> None:
        assert following([page(link("?page=2"))], {f"{URL}?page=2"}) is None


class TestNoPart:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            link("?page=2", "Komentar"),
            link("?page=2", "3"),
            link("?page=1", "1"),
            link("?page=3", "3"),
            link("?page=2#comments"),
            link("?cpage=2"),
            link(f"{URL}/comment-page-2/"),
            f'<div id="comments"><p>{link("?page=2")}</p></div>',
            f'<ul class="gallery-nav"><li>{link("?page=2")}</li></ul>',
            link("https://other.example/berita/jembatan-dibuka?page=2"),
            '<link rel="next" href="https://lembah.example/berita/jembatan-ditutup">',
            '<link rel="next" href="https://other.example/berita/jembatan-dibuka/2">',
            link("/berita/jembatan-ditutup?page=2"),
            link("/berita?page=2"),
            link("?page=2&sort=new"),
            link("javascript:next(2)"),
            link("http://[::1/2"),
        ],
    )
    def test_what_is_another_thing(self, body: str) -> None:
        assert found(body) is None

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/berita/",
            "/tag/jembatan",
            "/kategori/lembah",
            "/foto/jembatan",
            "/search",
            "/blog",
        ],
    )
    def test_lists_and_galleries_have_pages_of_another_kind(self, path: str) -> None:
        url = f"https://lembah.example{path}"
        assert found(link(f"{url}?page=2"), url) is None
        assert found(link(f"{url.rstrip('/')}/page/2/"), url) is None

    def test_the_next_article_of_a_numbered_series(self) -> None:
        here, there = "https://lembah.example/p/1", "https://lembah.example/p/2"
        assert found(f'<link rel="next" href="{there}">', here) is None


class TestAllOnOnePage:
    @pytest.mark.parametrize(
        "href",
        ["?page=all", "?showall=1", "?single=true", f"{URL}/komplettansicht", f"{URL}/all"],
    )
    def test_goes_before_the_second_part(self, href: str) -> None:
        wanted = following([page(link("?page=2") + link(href, "Tampilkan Semua"))])
        assert wanted is not None
        assert wanted.whole

    def test_is_all_there_is(self) -> None:
        whole = page(link("?page=2") + link("?page=all"), f"{URL}?page=all")
        assert following([whole]) is None

    def test_not_of_other_articles(self) -> None:
        assert found(link("/berita/lain?page=all", "Lain")) is None


PAGE_2 = f"{URL}?page=2"


def prose(subject: str) -> str:
    return "".join(
        f"<p>{subject} {n}: orang-orang di tepi sungai itu menunggu sampai air surut lagi.</p>"
        for n in range(5)
    )


def part(number: int, more: str = "") -> Page:
    url = URL if number == 1 else f"{URL}?page={number}"
    return page(prose(f"Bagian {number}") + more, url)


def gathered(first: Page, site: Mapping[str, Page]) -> tuple[Gathered, list[str]]:
    asked: list[str] = []

    async def ask(url: str) -> Page | None:
        asked.append(url)
        return site.get(url)

    return asyncio.run(gather(first, ask)), asked


def chain(length: int, make: Callable[[int], Page]) -> dict[str, Page]:
    return {f"{URL}?page={n}": make(n) for n in range(2, length + 1)}


class TestGathered:
    def test_an_article_of_one_page_asks_for_nothing(self) -> None:
        first = part(1)
        assert gathered(first, {}) == (Gathered((first,)), [])

    def test_part_by_part(self) -> None:
        first = part(1, link("?page=2"))
        site = chain(3, lambda n: part(n, link(f"?page={n + 1}", f"{n + 1}") if n < 3 else ""))
        came, asked = gathered(first, site)
        assert [one.url for one in came.pages] == [URL, f"{URL}?page=2", f"{URL}?page=3"]
        assert (came.missing, len(asked)) == ("", 2)

    def test_all_on_one_page_in_place_of_them(self) -> None:
        first = part(1, link("?page=2") + link("?page=all", "Semua"))
        whole = page(prose("Bagian 1") + prose("Bagian 2") + prose("x"), f"{URL}?page=all")
        came, asked = gathered(first, {f"{URL}?page=all": whole})
        assert (came, asked) == (Gathered((whole,)), [f"{URL}?page=all"])

    @pytest.mark.parametrize("answer", [None, part(1)])
    def test_parts_where_that_page_is_not_to_be_had(self, answer: Page | None) -> None:
        first = part(1, link("?page=2") + link("?page=all", "Semua"))
        site = chain(2, part) | ({f"{URL}?page=all": answer} if answer else {})
        came, _ = gathered(first, site)
        assert [one.url for one in came.pages] == [URL, f"{URL}?page=2"]
        assert came.missing == ""

    def test_a_part_that_cannot_be_had(self) -> None:
        first = part(1, link("?page=2"))
        came, asked = gathered(first, chain(2, lambda n: part(n, link("?page=3", "3"))))
        assert [one.url for one in came.pages] == [URL, f"{URL}?page=2"]
        assert (came.missing, asked[-1]) == ("part 3 could not be fetched", f"{URL}?page=3")

    def test_a_part_that_is_the_first_page_again(self) -> None:
        first = part(1, link("?page=2"))
        again = page(prose("Bagian 1") + "<p>Kini 12:01</p>" + link("?page=3", "3"), "x")
        came, asked = gathered(first, {f"{URL}?page=2": again})
        assert (came, len(asked)) == (Gathered((first,)), 1)

    def test_a_first_page_with_other_comments_below(self) -> None:
        first = part(1, link("?page=2") + "<p>Komentar pertama itu cukup pendek.</p>")
        comments = "".join(f"<p>Komentar {n}: {'panjang sekali ' * 9}</p>" for n in range(9))
        again = page(prose("Bagian 1") + comments, f"{URL}?page=2")
        assert gathered(first, {again.url: again})[0] == Gathered((first,))

    def test_a_last_part_of_one_sentence(self) -> None:
        first = part(1, link("?page=2"))
        last = page("<p>Kapal itu tiba di pelabuhan pada Rabu malam, kata dewan kota.</p>", PAGE_2)
        assert gathered(first, {PAGE_2: last})[0] == Gathered((first, last))

    def test_a_last_part_without_any(self) -> None:
        first = part(1, link("?page=2"))
        empty = page("<p>Tamat.</p>", PAGE_2)
        assert gathered(first, {PAGE_2: empty})[0] == Gathered((first,))

    def test_a_chain_without_an_end(self) -> None:
        first = part(1, link("?page=2"))
        site = chain(99, lambda n: part(n, link(f"?page={n + 1}", "Selanjutnya")))
        came, asked = gathered(first, site)
        assert (len(came.pages), len(asked)) == (MOST_PARTS, MOST_PARTS - 1)
        assert came.missing == f"it has more than {MOST_PARTS} parts"

    def test_parts_of_megabytes(self) -> None:
        first = part(1, link("?page=2"))
        heavy = "<!--" + "x" * 6_000_000 + "-->"
        site = chain(9, lambda n: part(n, link(f"?page={n + 1}", "Next") + heavy))
        came, _ = gathered(first, site)
        assert (len(came.pages), came.missing) == (5, "it has more than 5 parts")

    def test_just_as_many_as_there_may_be(self) -> None:
        first = part(1, link("?page=2"))
        last = MOST_PARTS
        site = chain(last, lambda n: part(n, link(f"?page={n + 1}", "Next") if n < last else ""))
        came, _ = gathered(first, site)
        assert (len(came.pages), came.missing) == (MOST_PARTS, "")

    def test_a_chain_that_goes_in_a_circle(self) -> None:
        first = part(1, link("?page=2"))
        back = part(2, link(URL, "Next") + link("?page=2") + link("?page=1", "1"))
        came, asked = gathered(first, {back.url: back})
        assert (len(came.pages), len(asked)) == (2, 1)


@given(st.text(alphabet='<>ahref="?page=2/ -!scriptlnkc', max_size=300))
def test_whatever_a_page_holds(body: str) -> None:
    wanted = following([page(body)])
    assert wanted is None or wanted.url.startswith("https://lembah.example/")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    ["<script>", "<!--", "<a ", "<link canonical ", ' href=" ', "<a href='?page=2'>", ">>>>>>>>>",
     "<link rel=canonical href=", "\n\t ", "<style", "< href   =   ", "<div>", "<link ",
     "<p>long "],
)  # fmt: skip
def test_no_page_takes_for_ever(unit: str) -> None:
    """Two megabytes of it: what takes the square of that would go on for hours."""
    body = link("?page=2") + unit * (2_000_000 // len(unit))
    first = page(body)
    asyncio.run(gather(first, asked_for(page(body + "x", f"{URL}?page=2"))))


def asked_for(answer: Page) -> Callable[[str], Awaitable[Page]]:
    async def ask(url: str) -> Page:
        return answer

    return ask
