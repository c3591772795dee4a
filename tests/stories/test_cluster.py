import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.stories import Facts, Joins, Opens, decide


@pytest.mark.parametrize("silent", [False, True])
def test_an_article_like_none_opens_a_story(silent: bool) -> None:
    assert decide(Facts(7, None, silent), None) == Opens(7, alert=not silent)


@pytest.mark.parametrize("silent", [False, True])
def test_an_article_like_another_joins_its_story(silent: bool) -> None:
    assert decide(Facts(7, None, silent), 3) == Joins(7, 3)


@pytest.mark.parametrize("candidate", [None, 3, 4])
def test_an_article_stays_in_its_story(candidate: int | None) -> None:
    assert decide(Facts(7, 4, silent=False), candidate) == Joins(7, 4)


ids = st.integers(1, 100)


@given(ids, st.none() | ids, st.booleans(), st.none() | ids)
def test_a_story_is_opened_only_where_there_is_none(
    article: int, story: int | None, silent: bool, candidate: int | None
) -> None:
    outcome = decide(Facts(article, story, silent), candidate)
    assert outcome.article_id == article
    assert isinstance(outcome, Opens) == (story is None and candidate is None)
