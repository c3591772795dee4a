import itertools
import re
from collections.abc import Iterable

import hypothesis.strategies as st
import py3langid
import pytest
from hypothesis import given, settings

from worker.demo import generator
from worker.demo.article import Article, written

SHARED_AT_MOST = 0.2


def words(article: Article) -> list[str]:
    return re.findall(r"\w+", "\n".join((article.title, *article.paragraphs)).lower())


def shingles(article: Article) -> set[tuple[str, ...]]:
    tokens = words(article)
    return set(zip(tokens, tokens[1:], tokens[2:], strict=False))


def most_shared(articles: Iterable[Article]) -> float:
    """The largest containment of one article's word 3-grams in another's."""
    pairs = itertools.combinations(map(shingles, articles), 2)
    return max(len(one & other) / min(len(one), len(other)) for one, other in pairs)


def test_two_articles_share_few_runs_of_three_words() -> None:
    articles = [*written(), *itertools.islice(generator.articles(1), 200)]
    assert most_shared(articles) < SHARED_AT_MOST


@given(seed=st.integers(0, 2**63), start=st.integers(0, 10**6), length=st.sampled_from([120, 700]))
@settings(max_examples=10)
def test_two_articles_share_few_runs_of_three_words_whatever_the_seed(
    seed: int, start: int, length: int
) -> None:
    articles = [
        generator.article(seed, index, language=language, words=lengths)
        for language in generator.LANGUAGES
        for index, lengths in zip(range(start, start + 8), itertools.cycle([260, length]))
    ]
    assert most_shared(articles) < SHARED_AT_MOST


@given(
    seed=st.integers(0, 2**63),
    indices=st.sets(st.integers(0, 10**7), min_size=2, max_size=40),
    data=st.data(),
)
@settings(max_examples=50)
def test_no_name_is_given_twice(seed: int, indices: set[int], data: st.DataObject) -> None:
    languages = st.sampled_from(generator.LANGUAGES)
    names = [
        name for index in indices for name in generator.names(seed, index, data.draw(languages))
    ]
    assert len(set(names)) == len(names)


def test_neighbouring_lengths_of_names_do_not_meet() -> None:
    around = range(80**3 // 9 - 30, 80**3 // 9 + 30)
    names = [name for index in around for name in generator.names(3, index, "id")]
    assert len(set(names)) == len(names)
    assert len({len(re.findall("[aiueo]", name)) for name in names}) > 1


def test_no_name_occurs_in_another_article() -> None:
    articles = list(itertools.islice(generator.articles(5), 200))
    owner = {
        name.lower(): index
        for index, article in enumerate(articles)
        for name in generator.names(5, index, article.language)
    }
    for index, article in enumerate(articles):
        found = {word for word in words(article) if word in owner}
        assert found, article.title
        assert {owner[word] for word in found} == {index}


@pytest.mark.parametrize("site", [0, 1])
def test_the_language_can_be_told(site: int) -> None:
    for article in itertools.islice(generator.articles(2), site, 60, 2):
        assert py3langid.classify(" ".join(article.paragraphs))[0] == article.language
    assert article.language == generator.LANGUAGES[site]


@given(seed=st.integers(0, 1000), length=st.integers(1, 1200), sites=st.integers(1, 7))
@settings(max_examples=25)
def test_length_and_sites_are_as_asked(seed: int, length: int, sites: int) -> None:
    articles = list(itertools.islice(generator.articles(seed, sites=sites, words=length), 10))
    assert [article.site for article in articles] == [index % sites for index in range(10)]
    assert all(length <= article.words < length + 60 for article in articles)
    assert len({(article.site, article.slug) for article in articles}) == 10
    assert len({article.language for article in articles if article.site == 0}) == 1
    times = [article.published_at for article in articles]
    assert times == sorted(set(times))


def test_an_article_depends_on_seed_and_index_only() -> None:
    series = list(itertools.islice(generator.articles(9), 6))
    alone = generator.article(9, 5, language="en", site=1, published_at=series[5].published_at)
    assert alone == series[5]
    assert next(generator.articles(10)).title != series[0].title
