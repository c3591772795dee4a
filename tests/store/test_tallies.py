"""Tallies on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from tests.store.rows import rows
from worker.reasons import Reason
from worker.store import writing
from worker.store.models import Tally
from worker.store.tallies import add, forget, per_minute

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _add(engine: Engine, at: datetime, *outcomes: tuple[str, Reason | None]) -> None:
    with writing(engine) as connection:
        add(connection, "fetch", at, outcomes)


def test_equal_outcomes_of_a_group_are_one_row(engine: Engine) -> None:
    _add(engine, NOW, ("fetched", None), ("degraded", Reason.TIMEOUT), ("fetched", None))
    counted = {(row["outcome"], row["reason"]): row["number"] for row in rows(engine, Tally)}
    assert counted == {("fetched", None): 2, ("degraded", "timeout"): 1}


def test_an_empty_group_adds_nothing(engine: Engine) -> None:
    _add(engine, NOW)
    assert rows(engine, Tally) == []


def test_the_last_minute_counts(engine: Engine) -> None:
    _add(engine, NOW - timedelta(seconds=61), ("fetched", None))
    _add(engine, NOW - timedelta(seconds=59), ("fetched", None), ("degraded", Reason.TIMEOUT))
    assert per_minute(engine, NOW) == {"fetch": 2}


def test_old_rows_are_dropped(engine: Engine) -> None:
    _add(engine, NOW - timedelta(days=3), ("fetched", None))
    _add(engine, NOW, ("fetched", None))
    assert forget(engine, NOW) == 1
    assert len(rows(engine, Tally)) == 1
