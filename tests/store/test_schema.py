import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, insert, inspect, text

from tests.conftest import MakeSettings
from tests.parallel import in_processes
from worker.settings import Settings
from worker.store import StoreError, open_engine, pages, schema
from worker.store.models import Base, Page
from worker.store.sessions import reading, writing

TABLES = set(Base.metadata.tables)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

MIGRATIONS = Path(schema.__file__).parent / "migrations"

NEXT_MIGRATION = '''
"""A migration of the next version."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("next", sa.Column("id", sa.Integer(), primary_key=True))
'''


@pytest.fixture
def settings(make_settings: MakeSettings, store_url: str) -> Settings:
    return make_settings(store={"url": store_url})


@pytest.fixture
def sqlite_settings(make_settings: MakeSettings, sqlite_url: str) -> Settings:
    return make_settings(store={"url": sqlite_url})


def test_upgrade_from_nothing_makes_every_table(settings: Settings) -> None:
    head = schema.upgrade(settings)
    assert head is not None
    assert tables(settings) >= TABLES
    assert schema.upgrade(settings) is None
    schema.check(settings)


def test_the_head_is_what_the_migrations_say() -> None:
    scripts = ScriptDirectory(MIGRATIONS)
    assert scripts.get_heads() == [schema.HEAD]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


def test_models_and_migrations_agree(engine: Engine) -> None:
    options = {"compare_server_default": True, "include_name": is_no_partition}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_any_number_of_processes_may_upgrade_at_once(settings: Settings) -> None:
    came_to = in_processes(8, schema.upgrade, settings)
    assert sorted(revision is None for revision in came_to) == [False] + 7 * [True]
    schema.check(settings)


def test_a_store_that_was_never_migrated_is_told_how(settings: Settings) -> None:
    with pytest.raises(StoreError, match=r"revision none, .* run `kabar db upgrade`"):
        schema.check(settings)


def test_a_newer_store_is_refused_with_the_way_out(store_settings: Settings) -> None:
    execute(store_settings, "UPDATE alembic_version SET version_num = 'f00d'")
    for refuse in (schema.upgrade, schema.check):
        with pytest.raises(StoreError) as caught:
            refuse(store_settings)
        message = str(caught.value)
        assert "f00d" in message
        assert "upgrade Kabar, or restore a backup" in message
        assert "\n" not in message
    assert tables(store_settings) >= TABLES


def test_a_store_out_of_reach_is_one_line(make_settings: MakeSettings, tmp_path: Path) -> None:
    nowhere = make_settings(store={"url": f"postgresql://kabar@/kabar?host={tmp_path}"})
    with pytest.raises(StoreError, match=r"^the store cannot be reached: .*$") as caught:
        schema.upgrade(nowhere)
    assert "\n" not in str(caught.value)


def test_the_data_directory_is_made(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(data_dir=tmp_path / "new" / "data")
    schema.upgrade(settings)
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    schema.check(settings)


def test_a_data_directory_that_cannot_be_made_is_one_line(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"^the data directory .*/file/data cannot be made: .*$"):
        schema.upgrade(make_settings(data_dir=tmp_path / "file" / "data"))


def test_a_sqlite_file_is_copied_before_it_is_migrated(
    sqlite_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.upgrade(sqlite_settings)
    assert backups(tmp_path) == []
    execute(sqlite_settings, "INSERT INTO hosts (host) VALUES ('example.org')")

    old = schema.HEAD
    monkeypatch.setattr(schema, "_MIGRATIONS", with_next_migration(tmp_path))
    monkeypatch.setattr(schema, "HEAD", "9999")
    assert schema.upgrade(sqlite_settings) == "9999"
    assert "next" in tables(sqlite_settings)

    (copy,) = backups(tmp_path)
    assert f".{old}." in copy.name
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT host FROM hosts").fetchall() == [("example.org",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(old,)]
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'next'").fetchall()

    assert schema.upgrade(sqlite_settings) is None
    assert backups(tmp_path) == [copy]


def test_postgres_keeps_pages_by_day(
    make_settings: MakeSettings, migrated_postgres_url: str
) -> None:
    engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
    week = timedelta(days=7)
    assert pages.maintain(engine, week, NOON) == 0
    for article_id, fetched_at in enumerate([NOON, NOON + timedelta(days=1)]):
        add_page(engine, article_id, fetched_at)
    assert days_of_pages(engine) == [("pages_20260304",), ("pages_20260305",)]

    assert pages.maintain(engine, week, NOON + timedelta(days=8)) == 1
    assert days_of_pages(engine) == [("pages_20260305",)]
    engine.dispose()


def add_page(engine: Engine, article_id: int, fetched_at: datetime) -> None:
    page = {"article_id": article_id, "part": 0, "fetched_at": fetched_at}
    with writing(engine) as connection:
        connection.execute(insert(Page).values(url="https://example.org/", body=b"", **page))


def days_of_pages(engine: Engine) -> list[tuple[object, ...]]:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT tableoid::regclass::text FROM pages ORDER BY 1"))
        return [tuple(row) for row in rows]


def is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith("pages_"))


def with_next_migration(directory: Path) -> Path:
    migrations = directory / "migrations"
    shutil.copytree(MIGRATIONS, migrations)
    next_one = NEXT_MIGRATION.format(head=schema.HEAD)
    (migrations / "versions" / "9999_next.py").write_text(next_one)
    return migrations


def backups(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.bak"))


def tables(settings: Settings) -> set[str]:
    engine = open_engine(settings, pooled=False)
    return set(inspect(engine).get_table_names())


def execute(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    engine = open_engine(settings, pooled=False)
    with writing(engine) as connection:
        result = connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


FIRST_ROWS = """
INSERT INTO feeds (id, url, due_at, created_at, changed_at, polled_at, failures) VALUES
 (1, 'https://a/', :now, :now, :now, :now, 0), (2, 'https://b/', :now, :now, NULL, NULL, 1);
INSERT INTO articles
 (id, url_key, url, feed_id, stage, due_at, first_seen_at, feed_entry, degradations, history)
 VALUES
 (1, 'abababababababababab', 'https://a/1', 1, 'done', :now, :now, '{}', '[]', '[]'),
 (2, 'cdcdcdcdcdcdcdcdcdcd', NULL, 1, 'done', :now, :now, '{}', '[]', '[]');
INSERT INTO entries (feed_id, identity, article_id, revision, first_seen_at, seen_at) VALUES
 (1, 'a', 1, 'r', :now, :now), (1, 'b', 2, 'r', :now, :now), (1, 'c', NULL, 'r', :now, :now)
"""


def test_entries_of_the_first_schema_are_known_in_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revisions were made by another rule; links are needed where guids change."""
    with monkeypatch.context() as patch:
        patch.setattr("worker.store.schema.HEAD", "0001")
        assert schema.upgrade(settings) == "0001"
    engine = open_engine(settings)
    now = {"now": NOON if engine.dialect.name == "postgresql" else "2026-03-04 12:00:00.000000"}
    with writing(engine) as connection:
        for statement in FIRST_ROWS.split(";"):
            connection.execute(text(statement), now)
    assert schema.upgrade(settings) == schema.HEAD
    with reading(engine) as connection:
        found = connection.execute(
            text("SELECT identity, revision, link FROM entries ORDER BY identity")
        ).all()
        feeds = connection.execute(text("SELECT identity_by FROM feeds ORDER BY id")).scalars()
        assert list(feeds) == ["guid", None]
    assert [tuple(one) for one in found] == [("a", "", "ab" * 8), ("b", "", None), ("c", "", None)]
    engine.dispose()
