"""Copy a store into another, empty one: how a service moves from SQLite to PostgreSQL.

One transaction on each side. The source is read as it was at one moment; the target gets all of it
or nothing. Work that somebody held there is free here, for nobody holds anything in a new store.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError

from worker import pulse
from worker.settings import Settings
from worker.store import pages, processes, schema
from worker.store.models import Base, Process
from worker.store.sessions import StoreError, open_engine, read_now, reading, writing

_BATCH = 200  # rows; an article with its texts is some 20 kB, a page up to 100
_FREE = {"lease_token": None, "lease_until": None}
# Heartbeats stay behind: no process lives in the new store yet.
_TABLES = [
    table for table in Base.metadata.sorted_tables if table.name != Process.__tablename__
]  # each after those that it refers to


def copy(source: Settings, target: Settings, *, force: bool = False) -> dict[str, int]:
    """Copy all of the store at `source` into the one at `target`; rows by table.

    The target is migrated first. Raises `StoreError`, with nothing copied, when the target holds
    rows, when a process of ours works on the source (unless `force`: what it does meanwhile stays
    behind), or when either store fails.
    """
    schema.check(source)
    old, new = open_engine(source, pooled=False), open_engine(target, pooled=False)
    try:
        if not force:
            _refuse_living(old)
        _refuse_filled(new)
        schema.upgrade(target)
        with reading(old) as giver, writing(new) as taker:
            return _copy(giver, taker)
    except DatabaseError as error:
        raise StoreError(f"nothing was copied: {_line(error)}") from None
    finally:
        old.dispose()
        new.dispose()


def _refuse_living(engine: Engine) -> None:
    with reading(engine) as connection:
        now = read_now(connection)
    living = [
        row["name"]
        for row in processes.listing(engine)
        if processes.is_healthy(now - row["seen_at"])
    ]
    if living:
        seconds = pulse.SILENT_AFTER_SECONDS
        raise StoreError(
            f"{', '.join(living)} work on the store: stop them first (one that has just ended "
            f"counts for {seconds:.0f} s); with --force what they do meanwhile stays behind"
        )


def _refuse_filled(engine: Engine) -> None:
    """Before the target is migrated: a store in use is not even brought to another schema."""
    with reading(engine) as connection:
        there = inspect(connection).get_table_names()
        _check_empty(connection, [table for table in _TABLES if table.name in there])


def _check_empty(connection: Connection, tables: Sequence[Table]) -> None:
    for table in tables:
        if connection.execute(select(text("1")).select_from(table).limit(1)).first():
            raise StoreError(f"the target holds {table.name} already: name an empty store")


def _copy(giver: Connection, taker: Connection) -> dict[str, int]:
    _hold_still(giver)
    _take_over(taker)
    _check_empty(taker, _TABLES)
    pages.prepare_days(taker, read_now(taker))
    copied = {table.name: _copy_table(giver, taker, table) for table in _TABLES}
    _count_on(taker)
    return copied


def _hold_still(giver: Connection) -> None:
    """One moment's picture for as long as it takes; SQLite's transactions are that anyway."""
    if giver.dialect.name == "postgresql":
        giver.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _allow_time(giver)


def _take_over(taker: Connection) -> None:
    """Keep all others from writing; on SQLite who writes is alone."""
    if taker.dialect.name == "postgresql":
        _allow_time(taker)
        names = ", ".join(table.name for table in _TABLES)
        taker.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def _allow_time(connection: Connection) -> None:
    # Each side waits for the other's batches.
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {limit} = 0")


def _copy_table(giver: Connection, taker: Connection, table: Table) -> int:
    statement = insert(table)
    try:
        for batch in _batches(giver, table):
            taker.execute(statement, batch)
    except DatabaseError as error:
        raise StoreError(
            f"nothing was copied, by an error in {table.name}: {_line(error)}"
        ) from None
    count = select(func.count()).select_from(table)
    had, has = giver.execute(count).scalar_one(), taker.execute(count).scalar_one()
    if had != has:
        raise StoreError(f"nothing was copied: {table.name} came to {has} rows of {had}")
    return int(has)


def _batches(giver: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    streamed = {"yield_per": _BATCH}
    for batch in giver.execute(select(table), execution_options=streamed).mappings().partitions():
        yield [_freed(row) for row in batch]


def _freed(row: RowMapping) -> dict[str, Any]:
    return {**row, **_FREE} if "lease_token" in row else dict(row)


def _count_on(taker: Connection) -> None:
    """Let new rows be numbered after those that came."""
    if taker.dialect.name != "postgresql":
        return
    for table in _TABLES:
        if "id" in table.columns:
            last = func.max(table.c.id)
            sequence = func.pg_get_serial_sequence(table.name, "id")
            taker.execute(select(func.setval(sequence, last)).having(last.is_not(None)))


def _line(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0]
