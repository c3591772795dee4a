"""Locks that are gone with their holder: one beat, one migration at a time.

PostgreSQL: an advisory lock, held by a connection of its own. SQLite: `flock` on a file beside the
database. Both end with the process, however it ends.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from worker.store.sessions import StoreError


@contextmanager
def hold(engine: Engine, name: str, *, wait: bool) -> Iterator[bool]:
    """Hold the lock `name` for the block; yields False when another holds it and `wait` is off.

    Raises `StoreError` when the file that is locked cannot be made.
    """
    if engine.dialect.name == "sqlite":
        with _hold_file(Path(f"{engine.url.database}.{name}.lock"), wait=wait) as held:
            yield held
    else:
        with _hold_advisory(engine, name, wait=wait) as held:
            yield held


@contextmanager
def _hold_file(path: Path, *, wait: bool) -> Iterator[bool]:
    # Never unlinked: whoever waits on it would hold a lock on a file that is no longer there.
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    try:
        yield _lock(handle, wait=wait)
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _hold_advisory(engine: Engine, name: str, *, wait: bool) -> Iterator[bool]:
    key = {"key": zlib.crc32(f"kabar:{name}".encode())}
    # Autocommit, or the session's idle-in-transaction timeout would end it.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0; SET lock_timeout = 0")
        if wait:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
            held = True
        else:
            held = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one()
        try:
            yield held
        finally:
            connection.invalidate()  # ends the session, and with it the lock and the settings
