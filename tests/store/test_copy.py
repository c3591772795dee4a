"""Copies from SQLite to PostgreSQL and back: all or nothing, and work goes on in the copy."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.conftest import MakeSettings
from tests.servers import postgres
from tests.store import outbox
from tests.store.full import fill
from tests.store.rows import HOUR, NOON, add_article, add_feed, change, claimed, row, rows
from worker.settings import Settings, StoreSettings
from worker.store import StoreError, open_engine, pages, processes, schema, stories
from worker.store.copy import copy
from worker.store.models import (
    Article,
    Attempt,
    Base,
    Delivery,
    Endpoint,
    Event,
    Feed,
    Page,
    Process,
    Story,
)
from worker.store.sessions import reading, writing

LEASE = {"lease_token", "lease_until"}
LATER = NOON + 24 * HOUR


@dataclass
class Move:
    """A store with rows of every kind, and an empty one."""

    source: Settings
    target: Settings
    old: Engine
    new: Engine

    def run(self, **how: bool) -> dict[str, int]:
        return copy(self.source, self.target, **how)

    def is_empty(self) -> bool:
        return not any(rows(self.new, model) for model in models() if model is not Process)


@pytest.fixture(scope="module")
def filled_sqlite(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with rows of every kind, to be copied: making them takes longer."""
    path = tmp_path_factory.mktemp("filled") / "kabar.db"
    shutil.copyfile(migrated_sqlite_file, path)
    _fill(f"sqlite:///{path}", path.parent)
    return path


@pytest.fixture(scope="module")
def filled_postgres(
    postgres_server: postgres.Server,
    migrated_postgres_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A PostgreSQL database with rows of every kind, to be copied."""
    url = postgres_server.create_database(migrated_postgres_template)
    _fill(url, tmp_path_factory.mktemp("filled"))
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def move_up(
    filled_sqlite: Path, migrated_postgres_url: str, make_settings: MakeSettings, tmp_path: Path
) -> Iterator[Move]:
    """From SQLite to PostgreSQL."""
    shutil.copyfile(filled_sqlite, tmp_path / "source.db")
    source = f"sqlite:///{tmp_path / 'source.db'}"
    with _moving(make_settings, source, migrated_postgres_url) as move:
        yield move


@pytest.fixture
def move_down(
    postgres_server: postgres.Server,
    filled_postgres: str,
    migrated_sqlite_url: str,
    make_settings: MakeSettings,
) -> Iterator[Move]:
    """From PostgreSQL to SQLite."""
    source = postgres_server.create_database(filled_postgres)
    with _moving(make_settings, source, migrated_sqlite_url) as move:
        yield move
    postgres_server.drop_database(source)


@pytest.fixture(params=["up", "down"])
def move(request: pytest.FixtureRequest) -> Move:
    """A move; the test runs once in each direction."""
    move: Move = request.getfixturevalue(f"move_{request.param}")
    return move


@contextmanager
def _moving(make_settings: MakeSettings, source: str, target: str) -> Iterator[Move]:
    before, after = (make_settings(store={"url": url}) for url in (source, target))
    move = Move(before, after, open_engine(before), open_engine(after))
    yield move
    move.old.dispose()
    move.new.dispose()


def _fill(url: str, directory: Path) -> None:
    engine = open_engine(Settings(store=StoreSettings(url=url)))
    fill(engine, directory)
    engine.dispose()


def models() -> list[Any]:
    return [mapper.class_ for mapper in Base.registry.mappers]


def test_every_row_arrives_as_it_was_but_free(move: Move) -> None:
    copied = move.run()
    for model in models():
        if model is Process:
            continue
        before, after = rows(move.old, model), rows(move.new, model)
        assert before, f"nothing in {model.__tablename__} to copy"
        assert copied[model.__tablename__] == len(before)
        assert [free(one) for one in before] == [dict(one) for one in after]
    held = [one for one in rows(move.old, Article) if one["lease_token"]]
    assert held, "nothing was held"


def free(one: Any) -> dict[str, Any]:
    return {name: None if name in LEASE else value for name, value in one.items()}


def test_null_stays_null(move: Move) -> None:
    """As JSON has one too, a column would else hold that in its place."""
    move.run()
    nulls = text("SELECT count(*) FROM articles WHERE translations IS NULL")
    for engine in (move.old, move.new):
        change(engine, Article, summary="")
    with reading(move.new) as connection:
        assert connection.execute(nulls).scalar() == len(rows(move.new, Article)) - 1


def test_work_goes_on_in_the_new_store(move: Move) -> None:
    move.run()
    assert {one["id"] for one in claimed(move.new, "poll", LATER).rows} == {
        one["id"] for one in rows(move.old, Feed) if one["due_at"] <= LATER
    }
    assert len(claimed(move.new, "fetch", LATER).rows) == 2
    (article,) = claimed(move.new, "process", LATER).rows
    with reading(move.new) as connection:
        assert len(pages.load(connection, [article["id"]])[article["id"]]) == 3


def test_new_rows_have_new_numbers(move: Move) -> None:
    move.run()
    highest = {model: max(one["id"] for one in rows(move.old, model)) for model in (Feed, Article)}
    assert add_feed(move.new, "https://example.org/new") > highest[Feed]
    assert add_article(move.new, "publish") > highest[Article]
    (published,) = stories.publish(move.new, claimed(move.new, "publish"))
    assert published.story_id == max(one["id"] for one in rows(move.old, Story)) + 1
    assert len(rows(move.new, Event)) == len(rows(move.old, Event)) + 1


def test_a_known_story_is_known_in_the_new_store(move_up: Move) -> None:
    move_up.run()
    add_article(move_up.new, "publish", title="Again", content_hash="Two")
    (published,) = stories.publish(move_up.new, claimed(move_up.new, "publish"))
    assert published.result == "joined"


def test_what_was_being_sent_is_sent_again_the_same(move_up: Move) -> None:
    (attempt,) = rows(move_up.old, Attempt)
    sent = row(move_up.old, Delivery, id=attempt["delivery_id"])
    event = row(move_up.old, Event, id=sent["event_id"])
    move_up.run()
    endpoint = row(move_up.new, Endpoint, name="desk")["id"]
    begun = outbox.begin(move_up.new, claimed(move_up.new, "deliver", LATER), endpoint, 9, LATER)
    again = next(one for one in begun if one.id == sent["id"])
    assert (again.webhook_id, again.body, again.attempt) == (
        event["webhook_id"],
        event["body"],
        2,
    )
    assert len(begun) == 3


def test_pages_that_are_older_than_the_partitions(move: Move) -> None:
    move.run()
    if move.new.dialect.name == "postgresql":
        with reading(move.new) as connection:
            aside = connection.execute(text("SELECT part FROM pages_default ORDER BY part"))
            assert list(aside.scalars()) == [3, 400]
    # They do not keep the days to come from having theirs, and go when their time has come.
    pages.maintain(move.new, timedelta(days=7), datetime.now(UTC) + timedelta(days=2))
    assert [page["part"] for page in rows(move.new, Page)] == [0, 3]


def test_heartbeats_stay_behind(move_up: Move) -> None:
    processes.Heart(("io",), NOON).beat(move_up.old)
    change(move_up.old, Process, seen_at=NOON)
    assert "processes" not in move_up.run()
    assert rows(move_up.new, Process) == []


def test_while_a_process_works_on_the_store(move_up: Move) -> None:
    processes.Heart(("io", "cpu"), NOON).beat(move_up.old)
    with pytest.raises(StoreError, match=r"cpu@.+, io@.+ work on the store: stop them first"):
        move_up.run()
    move_up.run(force=True)
    assert not move_up.is_empty()


def test_a_target_that_holds_rows(move: Move) -> None:
    add_feed(move.new, "https://example.org/mine")
    with pytest.raises(StoreError, match="the target holds feeds already"):
        move.run()
    assert row(move.new, Feed)["url"] == "https://example.org/mine"


def test_the_store_itself_is_no_target(move_up: Move) -> None:
    with pytest.raises(StoreError, match="holds cached_translations already"):
        copy(move_up.source, move_up.source)


def test_a_target_without_tables_is_given_them(
    make_settings: MakeSettings, migrated_sqlite_url: str, postgres_url: str
) -> None:
    source, target = (make_settings(store={"url": u}) for u in (migrated_sqlite_url, postgres_url))
    assert set(copy(source, target).values()) == {0}
    schema.check(target)


def test_a_target_of_another_schema_is_left_as_it_is(move_up: Move) -> None:
    add_feed(move_up.new)
    with writing(move_up.new) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreError, match="the target holds feeds already"):
        move_up.run()


def test_a_source_of_another_schema(move_up: Move) -> None:
    with writing(move_up.old) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreError, match="0000"):
        move_up.run()


def test_a_row_that_the_target_refuses_leaves_it_empty(move: Move) -> None:
    """The last table to be copied has it; SQLite does not look at lengths by itself."""
    refuse = (
        "CREATE TRIGGER no BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'too long'); END"
    )
    if move.new.dialect.name == "sqlite":
        with writing(move.new) as connection:
            connection.exec_driver_sql(refuse)
    else:
        change(move.old, Attempt, outcome="x" * 17)
    with pytest.raises(StoreError, match=r"by an error in attempts: .*too long"):
        move.run()
    assert move.is_empty()


def test_more_rows_than_a_batch(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.store.copy._BATCH", 2)
    assert move.run()["articles"] == 6
    assert len(rows(move.new, Article)) == 6
