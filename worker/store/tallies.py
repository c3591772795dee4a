"""Tallies: how many outcomes of which kind each stage had, as rows that are only ever added.

Counters that everybody increments would make all committers wait for each other.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, func, insert, select

from worker.reasons import Reason
from worker.settings import Stage
from worker.store import models
from worker.store.sessions import read_now, reading, writing

_KEPT = timedelta(days=2)


def add(
    connection: Connection,
    stage: Stage,
    now: datetime,
    outcomes: Iterable[tuple[str, Reason | None]],
) -> None:
    """Count what came of a group's rows: each an outcome and, if it went wrong, why."""
    rows = [
        {"stage": stage, "at": now, "outcome": outcome, "reason": reason, "number": number}
        for (outcome, reason), number in Counter(outcomes).items()
    ]
    if rows:
        connection.execute(insert(models.Tally), rows)


def per_minute(engine: Engine, now: datetime | None = None) -> dict[str, int]:
    """How many outcomes each stage had in the last minute; a stage without any is left out."""
    with reading(engine) as connection:
        now = now or read_now(connection)
        rows = connection.execute(
            select(models.Tally.stage, func.sum(models.Tally.number))
            .where(models.Tally.at > now - timedelta(minutes=1))
            .group_by(models.Tally.stage)
        )
        return {stage: int(number) for stage, number in rows}


def forget(engine: Engine, now: datetime | None = None) -> int:
    """Drop the rows that are older than two days; returns how many."""
    with writing(engine) as connection:
        old = models.Tally.at < (now or read_now(connection)) - _KEPT
        return connection.execute(delete(models.Tally).where(old)).rowcount
