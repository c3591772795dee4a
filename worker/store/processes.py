"""Heartbeats: which of our processes live, told by a row a role."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, select

from worker import pulse
from worker.store import models
from worker.store.dialects import insert_or_update
from worker.store.sessions import read_now, reading, writing

_SILENT_AFTER = timedelta(seconds=pulse.SILENT_AFTER_SECONDS)
_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Heart:
    """One process's heartbeat, in each of its roles."""

    roles: tuple[str, ...]
    started_at: datetime

    def beat(self, engine: Engine) -> None:
        """Say that the process lives."""
        host, pid = socket.gethostname(), os.getpid()
        with writing(engine) as connection:
            now = read_now(connection)
            # In one order everywhere, or two processes with the same roles wait for each other.
            for role in sorted(self.roles):
                values = {
                    "name": f"{role}@{host}",
                    "role": role,
                    "host": host,
                    "pid": pid,
                    "started_at": self.started_at,
                    "seen_at": now,
                }
                connection.execute(insert_or_update(connection, models.Process, "name", values))


def silence(engine: Engine, role: str, host: str | None = None) -> timedelta | None:
    """How long ago the process of that role on this host was last heard; None when never."""
    name = f"{role}@{host or socket.gethostname()}"
    with reading(engine) as connection:
        seen_at = connection.execute(
            select(models.Process.seen_at).where(models.Process.name == name)
        ).scalar()
        return read_now(connection) - seen_at if seen_at else None


def is_healthy(silence: timedelta | None) -> bool:
    """Whether a process that has been silent for so long is taken to live."""
    return silence is not None and silence <= _SILENT_AFTER


def listing(engine: Engine) -> list[dict[str, Any]]:
    """All processes that were heard of lately."""
    with reading(engine) as connection:
        statement = select(models.Process.__table__).order_by(models.Process.name)
        return [dict(row) for row in connection.execute(statement).mappings()]


def forget(engine: Engine) -> int:
    """Drop the rows of processes that have not been heard for a day; returns how many."""
    with writing(engine) as connection:
        long_ago = read_now(connection) - _FORGOTTEN_AFTER
        return connection.execute(
            delete(models.Process).where(models.Process.seen_at < long_ago)
        ).rowcount
