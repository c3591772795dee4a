from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from tests.conftest import MakeSettings
from tests.store.rows import HOUR, NOON, rows
from worker.articles import Page
from worker.store import open_engine, pages
from worker.store.models import Page as PageRow
from worker.store.sessions import reading, writing

DAY = timedelta(days=1)
KEEP = 7 * DAY


@pytest.fixture
def postgres(make_settings: MakeSettings, migrated_postgres_url: str) -> Iterator[Engine]:
    """A PostgreSQL store, with the partitions of the day on which its template was made."""
    engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
    yield engine
    engine.dispose()


def page(body: bytes = b"<p>body</p>", age: timedelta = timedelta()) -> Page:
    return Page("https://example.org/a", body, None, NOON - age)


def keep(engine: Engine, article_id: int, *kept: Page) -> None:
    with writing(engine) as connection:
        pages.save(connection, article_id, [pages.pack(one) for one in kept])


def partitions(engine: Engine) -> set[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'pages'::regclass"
    with reading(engine) as connection:
        return set(connection.execute(text(query)).scalars())


def days_of_rows(engine: Engine) -> list[str]:
    """In which partition each page is, by article."""
    query = "SELECT tableoid::regclass::text FROM pages ORDER BY article_id"
    with reading(engine) as connection:
        return list(connection.execute(text(query)).scalars())


def test_pages_come_back_as_they_were(engine: Engine) -> None:
    first = Page("https://example.org/1", b"<p>caf\xe9</p>\0" * 1_000, "latin-1", NOON)
    second = Page("https://example.org/2", b"", None, NOON + HOUR)
    keep(engine, 1, first, second)
    keep(engine, 2, page(b"another's"))
    with reading(engine) as connection:
        assert pages.load(connection, [1, 2, 3]) == {1: [first, second], 2: [page(b"another's")]}
        assert pages.load(connection, []) == {}


def test_saving_again_takes_the_place_of_all_parts(engine: Engine) -> None:
    keep(engine, 1, page(b"1"), page(b"2"))
    keep(engine, 1, page(b"new", age=-DAY))
    with reading(engine) as connection:
        assert pages.load(connection, [1]) == {1: [page(b"new", age=-DAY)]}


def test_old_pages_go_and_others_stay(engine: Engine) -> None:
    with writing(engine) as connection:
        pages.prepare_days(connection, NOON - 10 * DAY)
        pages.prepare_days(connection, NOON - 6 * DAY)
    for article_id, age in enumerate((10 * DAY, 9 * DAY, 6 * DAY, timedelta())):
        keep(engine, article_id, page(age=age))
    assert pages.maintain(engine, KEEP, NOON) > 0
    assert [kept["article_id"] for kept in rows(engine, PageRow)] == [2, 3]
    assert pages.maintain(engine, KEEP, NOON) == 0


class TestDays:
    """PostgreSQL: a partition a day."""

    def test_the_coming_days_have_one_each(self, postgres: Engine) -> None:
        pages.maintain(postgres, KEEP, NOON)
        for ahead in range(4):
            keep(postgres, ahead, page(age=-ahead * DAY))
        keep(postgres, 9, page(age=-4 * DAY))
        assert days_of_rows(postgres) == [
            "pages_20260304",
            "pages_20260305",
            "pages_20260306",
            "pages_20260307",
            "pages_default",
        ]

    def test_a_day_is_dropped_when_all_of_it_is_old(self, postgres: Engine) -> None:
        pages.maintain(postgres, KEEP, NOON)
        assert pages.maintain(postgres, KEEP, NOON + KEEP) == 0
        assert "pages_20260304" in partitions(postgres)
        assert pages.maintain(postgres, KEEP, NOON + KEEP + DAY) == 1
        assert "pages_20260304" not in partitions(postgres)
        assert "pages_20260305" in partitions(postgres)

    def test_maintaining_again_changes_nothing(self, postgres: Engine) -> None:
        pages.maintain(postgres, KEEP, NOON)
        before = partitions(postgres)
        assert pages.maintain(postgres, KEEP, NOON) == 0
        assert partitions(postgres) == before

    def test_a_day_with_rows_in_the_default_partition_is_passed_over(
        self, postgres: Engine
    ) -> None:
        """As when nobody had swept for a while."""
        keep(postgres, 1, page())
        assert days_of_rows(postgres) == ["pages_default"]
        pages.maintain(postgres, KEEP, NOON)
        assert "pages_20260304" not in partitions(postgres)
        assert "pages_20260305" in partitions(postgres)
        keep(postgres, 2, page())
        assert days_of_rows(postgres) == 2 * ["pages_default"]

        pages.maintain(postgres, KEEP, NOON + KEEP + HOUR)
        assert rows(postgres, PageRow) == []
