from collections import Counter
from dataclasses import fields

import py3langid
import pytest

from worker.demo.article import Article, written

LEAST_WORDS = 250
PAIR = ("harrowmere-night-ferry", "feri-malam-harrowmere")
ARTICLES = pytest.mark.parametrize("article", written(), ids=lambda article: article.slug[:30])


def test_twelve_are_indonesian_and_six_english() -> None:
    assert Counter(article.language for article in written()) == {"id": 12, "en": 6}
    assert [(a.site, a.language) for a in written()] == [(0, "id"), (1, "en"), (2, "id")] * 6


@ARTICLES
def test_each_is_long_enough_and_in_its_language(article: Article) -> None:
    assert article.words >= LEAST_WORDS
    assert py3langid.classify(" ".join(article.paragraphs))[0] == article.language


@ARTICLES
def test_each_has_everything_a_page_needs(article: Article) -> None:
    assert [field.name for field in fields(article) if getattr(article, field.name) == ""] == []
    for text in (*article.paragraphs, *article.tags, article.title, article.source):
        assert text == " ".join(text.split())
    assert len(article.paragraphs) >= 6
    assert len(article.tags) >= 3


def test_none_has_a_title_slug_or_paragraph_of_another() -> None:
    for every in (
        [article.title for article in written()],
        [article.slug for article in written()],
        [paragraph for article in written() for paragraph in article.paragraphs],
    ):
        assert len(set(every)) == len(every)


def test_a_pair_tells_one_story_in_both_languages() -> None:
    original, rewrite = (
        next(article for article in written() if article.slug.startswith(start)) for start in PAIR
    )
    assert (original.language, rewrite.language) == ("en", "id")
    assert rewrite.source == "The Harbour Ledger"
    for name in ("Perrin Asquithson", "Wilhelmina Trescobeth", "Margery Dawn"):
        for article in (original, rewrite):
            assert name in " ".join(article.paragraphs)


def test_agencies_are_credited() -> None:
    assert {"Aljazeera", "ANTARA", "Reuters"} <= {article.source for article in written()}


def test_one_goes_over_three_pages() -> None:
    assert Counter(article.parts for article in written()) == {1: 17, 3: 1}


@ARTICLES
def test_the_parts_are_the_paragraphs(article: Article) -> None:
    parts = [article.part(number) for number in range(1, article.parts + 1)]
    assert tuple(paragraph for part in parts for paragraph in part) == article.paragraphs
    assert all(len(part) >= 3 for part in parts)


@ARTICLES
def test_a_revision_changes_one_paragraph(article: Article) -> None:
    revised = article.revised()
    assert revised.paragraphs[:-1] == article.paragraphs[:-1]
    assert revised.paragraphs[-1] != article.paragraphs[-1]
    assert (revised.slug, revised.title) == (article.slug, article.title)
