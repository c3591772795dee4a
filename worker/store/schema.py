"""Migrations: bring a store to this code's schema, or say why that cannot be."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError

from worker.settings import Settings
from worker.store import pages
from worker.store.locks import hold
from worker.store.sessions import StoreError, open_engine, read_now, writing

# Named here too, so that a process which only checks need not load Alembic and every migration.
HEAD = "0004"
_MIGRATIONS = Path(__file__).parent / "migrations"
_BACKUPS_KEPT = 5


def upgrade(settings: Settings) -> str | None:
    """Migrate the store to this code's schema; returns the revision it came to, None if it was
    there already.

    Takes a lock, so that any number of processes may call it at once. An SQLite file that holds
    data is copied first, beside itself. Raises `StoreError` when the store is newer than the code
    or cannot be reached.
    """
    if settings.store.url is None:
        _make_directory(settings.data_dir)
    engine = open_engine(settings, pooled=False)
    if engine.dialect.name == "sqlite":
        _make_private(Path(str(engine.url.database)))
    try:
        with hold(engine, "migrate", wait=True):
            return _upgrade(engine)
    except DatabaseError as error:
        raise StoreError(f"the store cannot be reached: {_first_line(error)}") from None
    finally:
        engine.dispose()


def check(settings: Settings) -> None:
    """Raise `StoreError` unless the store is at this code's schema."""
    engine = open_engine(settings, pooled=False)
    try:
        with engine.connect() as connection:
            current = _current(connection)
    except DatabaseError as error:
        raise StoreError(f"the store cannot be reached: {_first_line(error)}") from None
    finally:
        engine.dispose()
    if current != HEAD:
        _refuse_newer(current)
        raise StoreError(
            f"the store is at revision {current or 'none'}, this code needs {HEAD}: "
            "run `kabar db upgrade`"
        )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the data directory {path} cannot be made: {error.strerror}") from None


def _make_private(path: Path) -> None:
    """A new file is ours alone: the secrets of endpoints are in it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be written to: {error.strerror}") from None


def _upgrade(engine: Engine) -> str | None:
    with engine.connect() as connection:
        current = _current(connection)
    if current == HEAD:
        return None
    _refuse_newer(current)
    if current is not None and engine.dialect.name == "sqlite":
        _back_up(Path(str(engine.url.database)), current)
    _migrate(engine)
    return HEAD


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # a store of years takes as long as it takes
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        pages.prepare_days(connection, read_now(connection))


def _refuse_newer(current: str | None) -> None:
    known = {path.name.split("_")[0] for path in _MIGRATIONS.glob("versions/*.py")}
    if current is not None and current not in known:
        raise StoreError(
            f"the store is at revision {current}, which this code does not know: it was written by "
            "a newer Kabar; upgrade Kabar, or restore a backup from before that upgrade"
        )


def _back_up(database: Path, revision: str) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    copy = database.with_name(f"{database.name}.{revision}.{stamp}.bak")
    _make_private(copy)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for old in sorted(database.parent.glob(f"{database.name}.*.bak"))[:-_BACKUPS_KEPT]:
        old.unlink()


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision


def _first_line(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0]
