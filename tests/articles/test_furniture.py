"""What is learned of a site's furniture, and what that may cost an article."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import CleanArticle, Page, explain, extract, furniture
from worker.articles.furniture import ENOUGH, MOST_FURNITURE, MOST_OTHERS, Block, Memory, learn

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "https://lembah.example/berita/1"
BOX = "Lembah Pagi terbit sejak 1951 dan dibaca di dua belas kota di sepanjang sungai."


def text(subject: str, number: int = 5) -> list[str]:
    return [
        f"Pada hari ke-{n} {subject} terlihat di pelabuhan, kata dewan {subject}, dan tak seorang "
        f"pun menduga {subject} sebesar itu akan datang sebelum musim semi tahun ini."
        for n in range(number)
    ]


def read(paragraphs: Sequence[str], memory: Memory | None = None, number: int = 0) -> CleanArticle:
    body = "".join(f"<p>{one}</p>" for one in paragraphs)
    html = f"<html><body><article><h1>Judul</h1><div>{body}</div></article></body></html>"
    page = Page(URL, html.encode(), None, NOW)
    return extract(page, repeated=furniture.of(memory or {}, number))


def blocks(*keys: str, size: int = 100) -> list[Block]:
    return [Block(key, size) for key in keys]


def taught(*articles: tuple[int, Sequence[Block]]) -> Memory:
    memory: Memory = {}
    for number, own in articles:
        memory = learn(memory, number, own)
    return memory


class TestLearn:
    def test_three_articles_make_it_furniture(self) -> None:
        memory = taught(*((n, blocks("box", f"a{n}", f"b{n}")) for n in (1, 2, 3)))
        assert furniture.of(memory) == {"box"}
        assert (
            furniture.of(taught(*((n, blocks("box", f"a{n}", f"b{n}")) for n in (1, 2)))) == set()
        )

    def test_the_article_itself_is_one_of_them(self) -> None:
        memory = taught((1, blocks("box", "a", "b")), (2, blocks("box", "c", "d")))
        assert furniture.of(memory, 3) == {"box"}
        assert furniture.of(memory, 2) == set()

    def test_the_same_article_again_counts_once(self) -> None:
        memory = taught(*((7, blocks("box", f"a{n}", "b")) for n in range(5)))
        assert furniture.of(memory) == set()
        assert furniture.of(learn(memory, 8, blocks("box", "c", "d"))) == set()

    def test_a_twin_teaches_nothing(self) -> None:
        memory = taught(*((n, blocks("a", "b", "c", f"own{n}")) for n in range(9)))
        assert furniture.of(memory) == set()

    def test_long_boxes_in_short_articles_are_their_text(self) -> None:
        own = (*blocks("box", size=600), *blocks("a", size=200))
        assert furniture.of(taught(*((n, own) for n in range(9)))) == set()

    def test_what_is_not_seen_any_more_is_forgotten(self) -> None:
        memory = taught(*((n, blocks("box", f"a{n}", f"b{n}")) for n in range(3)))
        for n in range(3, 3 + MOST_OTHERS):
            memory = learn(memory, n, blocks(f"a{n}", f"b{n}"))
        assert furniture.of(memory) == {"box"}, "one that was learned stays for longer"
        for n in range(3 * MOST_FURNITURE):
            memory = learn(memory, n, blocks(f"box{n // 3}", f"c{n}", f"d{n}"))
        assert "box" not in memory

    def test_what_is_seen_again_is_remembered(self) -> None:
        memory: Memory = {}
        for n in range(6 * MOST_FURNITURE):
            memory = learn(memory, n, blocks("box", f"box{n // 3}", f"a{n}", f"b{n}"))
        assert "box" in memory

    def test_it_survives_a_store(self) -> None:
        memory = taught((1, blocks("box", "a", "b")), (2, blocks("box", "c", "d")))
        again = json.loads(json.dumps(memory))
        assert list(again) == list(memory)
        assert furniture.of(again, 3) == {"box"}

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 20),
                st.lists(st.tuples(st.integers(0, 800), st.integers(1, 500)), max_size=200),
            ),
            max_size=40,
        )
    )
    def test_it_is_bounded_and_needs_different_articles(
        self, articles: list[tuple[int, list[tuple[int, int]]]]
    ) -> None:
        memory: Memory = {}
        seen: dict[str, set[int]] = {}
        for number, own in articles:
            memory = learn(memory, number, [Block(str(key), size) for key, size in own])
            for key, _ in own:
                seen.setdefault(str(key), set()).add(number)
        found = furniture.of(memory)
        assert all(len(seen[key]) >= ENOUGH for key in found)
        assert len(found) <= MOST_FURNITURE
        assert len(memory) <= MOST_FURNITURE + MOST_OTHERS
        assert all(len(ids) == len(set(ids)) <= ENOUGH for ids in memory.values())


class TestArticles:
    def test_a_box_is_dropped_from_the_third_on(self) -> None:
        memory: Memory = {}
        kept = []
        for n in range(5):
            article = read([*text(f"kapal {n}"), BOX], memory, n)
            kept.append(BOX in article.paragraphs)
            memory = learn(memory, n, article.blocks)
            assert article.paragraphs[:5] == tuple(text(f"kapal {n}"))
            assert sum(block.dropped for block in article.blocks) == (not kept[-1])
        assert kept == [True, True, False, False, False]

    def test_it_is_dropped_on_when_nothing_else_is_known(self) -> None:
        """What is dropped is seen all the same, so that it is not forgotten."""
        memory: Memory = {}
        for n in range(MOST_FURNITURE):
            memory = learn(memory, n, read([*text(f"kapal {n}"), BOX], memory, n).blocks)
        assert BOX not in read([*text("perahu"), BOX], memory, -1).paragraphs

    def test_the_text_of_sister_pages_stays(self) -> None:
        memory: Memory = {}
        for n in range(6):
            article = read([*text("kapal"), BOX], memory, n)
            assert article.paragraphs[:5] == tuple(text("kapal"))
            memory = learn(memory, n, article.blocks)

    def test_it_is_told_which_block_it_was(self) -> None:
        page = Page(
            URL, "".join(f"<p>{one}</p>" for one in [*text("kapal"), BOX]).encode(), None, NOW
        )
        found = explain(page, repeated={furniture.key(BOX)})
        assert [(one.text, one.kept) for one in found if one.rule == "learned furniture"] == [
            (BOX, False)
        ]

    @pytest.mark.parametrize("spaced", [BOX, f"  {BOX.replace(' ', '  ')}\n", f"- {BOX}"])
    def test_a_key_is_the_same_however_it_is_spaced(self, spaced: str) -> None:
        assert furniture.key(spaced) == furniture.key(BOX)

    @given(st.sets(st.integers(0, 7)), st.lists(st.integers(20, 400), min_size=8, max_size=8))
    def test_never_more_than_half_is_dropped(self, known: set[int], sizes: list[int]) -> None:
        paragraphs = [f"{n} " + "kata " * (size // 5) + "." for n, size in enumerate(sizes)]
        page = "".join(f"<p>{one}</p>" for one in [*paragraphs, *text("kapal", 1)])
        repeated = {furniture.key(paragraphs[n]) for n in known}
        article = extract(Page(URL, page.encode(), None, NOW), repeated=repeated)
        dropped = sum(block.size for block in article.blocks if block.dropped)
        assert dropped <= sum(block.size for block in article.blocks if not block.dropped)
        assert article.paragraphs
