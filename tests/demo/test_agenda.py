from collections import Counter
from itertools import islice

import pytest

from worker.demo.agenda import Step, agenda
from worker.demo.article import written


def acts(steps: list[Step], act: str) -> list[str]:
    return [step.article.slug for step in steps if step.act == act]


@pytest.mark.parametrize("stories", [2, 3, 4, 5, 12, 30])
def test_so_many_stories_with_a_repeat_and_an_update(stories: int) -> None:
    steps = list(agenda(1, stories))
    published = acts(steps, "publish")
    assert len(set(published)) == len(published) == stories
    for act in ("repeat", "update"):
        assert acts(steps, act)
        assert len(set(acts(steps, act))) == len(acts(steps, act))
    assert not set(acts(steps, "repeat")) & set(acts(steps, "update"))
    for position, step in enumerate(steps):
        if step.act != "publish":
            assert step.article.slug in acts(steps[:position], "publish")


def test_a_single_story_is_repeated() -> None:
    assert [step.act for step in agenda(1, 1)] == ["publish", "repeat"]


def test_the_written_articles_come_first_in_their_order() -> None:
    published = acts(list(agenda(1, 40)), "publish")
    assert published[:18] == [article.slug for article in written()]
    assert len(published) == 40


@pytest.mark.parametrize("stories", [12, 60])
def test_every_site_that_writes_has_its_share(stories: int) -> None:
    steps = [step for step in agenda(1, stories) if step.act == "publish"]
    assert Counter(step.article.site for step in steps) == dict.fromkeys(range(3), stories // 3)
    for site, language in enumerate(("id", "en", "id")):
        assert {s.article.language for s in steps if s.article.site == site} == {language}


def test_an_update_differs_from_what_was_published() -> None:
    steps = list(agenda(1, 30))
    published = {step.article.slug: step.article for step in steps if step.act == "publish"}
    for step in steps:
        if step.act == "update":
            assert step.article == published[step.article.slug].revised()


def test_it_has_no_end_unless_asked() -> None:
    assert len(list(islice(agenda(1, None), 200))) == 200


def test_the_seed_decides() -> None:
    assert list(agenda(1, 22)) == list(agenda(1, 22))
    assert list(agenda(1, 22))[-1] != list(agenda(2, 22))[-1]
