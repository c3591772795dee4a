"""Engines and transactions, with what each database needs said once.

SQLite: WAL, `synchronous=NORMAL`, a busy timeout, and BEGIN IMMEDIATE for every transaction that
writes: one that reads first and then writes would fail at once, whatever the timeout.
PostgreSQL: statement, lock and idle timeouts, so that a stopped process holds no lock for good.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from worker.errors import KabarError
from worker.settings import Settings
from worker.store.models import UtcDateTime

BUSY_SECONDS = 10
_INCREMENTAL = 2
_POSTGRES_OPTIONS = (
    "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=5s"
)


_POSTGRES_CONNECT = {
    "options": _POSTGRES_OPTIONS,
    "connect_timeout": 5,
    # A server that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class StoreError(KabarError):
    """The store cannot be used; one line that says why and the way out."""


def open_engine(settings: Settings, *, pooled: bool = True) -> Engine:
    """An engine for this process; made after a fork, never before it.

    `pooled=False` opens a connection a transaction, for the rare statement of a process that
    forks. Raises `StoreError` when the URL cannot be used.
    """
    url = parse_url(settings.store_url)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, pooled=pooled)
    pool: dict[str, Any] = (
        {"pool_size": settings.store.pool_size, "max_overflow": 0, "pool_pre_ping": True}
        if pooled
        else {"poolclass": NullPool}
    )
    return create_engine(
        url,
        hide_parameters=True,
        connect_args=_POSTGRES_CONNECT,
        **pool,
    )


def parse_url(text: str) -> URL:
    """`text` as a URL for psycopg 3 or SQLite.

    Raises `StoreError` for another database or what is no URL.
    """
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError:
        raise StoreError(
            "store.url is no SQLAlchemy URL such as postgresql://user@host/db"
        ) from None
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database:
        return url
    raise StoreError(f"store.url: {backend} is no store; use sqlite:////path or postgresql://")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes; committed at the end of the block."""
    with engine.connect() as connection:
        connection.info["immediate"] = True
        try:
            with connection.begin():
                yield connection
        finally:
            connection.info.pop("immediate", None)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: on SQLite it never waits for a writer."""
    with engine.connect() as connection:
        yield connection


def read_now(connection: Connection) -> datetime:
    """The store's clock: the server's, on SQLite the machine's."""
    if connection.dialect.name == "postgresql":
        return connection.execute(select(func.clock_timestamp(type_=UtcDateTime))).scalar_one()
    return datetime.now(UTC)


def _sqlite_engine(url: URL, *, pooled: bool) -> Engine:
    database = Path(str(url.database))
    if not database.parent.is_dir():
        raise StoreError(f"{database.parent}: no such directory (it is to hold {database.name})")
    engine = create_engine(
        url,
        hide_parameters=True,  # of errors: texts of articles, secrets of endpoints
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        **({} if pooled else {"poolclass": NullPool}),
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None  # we say BEGIN ourselves
    # Counts only before the first table. Asked for again it changes nothing, but takes the lock of
    # a writer: each new connection would wait for whoever writes.
    if raw.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
        raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.info.get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
