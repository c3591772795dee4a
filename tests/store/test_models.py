from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from sqlalchemy import Engine, insert, literal, select
from sqlalchemy.exc import StatementError

from worker.store.models import Host, UtcDateTime
from worker.store.sessions import reading, writing

JAKARTA = timezone(timedelta(hours=7))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [NOON, NOON.replace(microsecond=1), NOON.astimezone(JAKARTA)],
    ids=["whole second", "microsecond", "another zone"],
)
def test_a_time_comes_back_aware_in_utc(engine: Engine, value: datetime) -> None:
    with writing(engine) as connection:
        connection.execute(insert(Host).values(host="example.org", robots_until=value))
    with reading(engine) as connection:
        found = connection.execute(select(Host.robots_until)).scalar_one()
    assert found == value
    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused(engine: Engine) -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(StatementError, match="naive time"), writing(engine) as connection:
        connection.execute(insert(Host).values(host="example.org", robots_until=naive))


def test_times_compare_as_times(engine: Engine) -> None:
    times = [
        NOON - timedelta(microseconds=1),
        (NOON + timedelta(microseconds=1)).astimezone(JAKARTA),
        NOON + timedelta(seconds=1),
        NOON + timedelta(days=300),
    ]
    for earlier, later in pairwise(times):
        with reading(engine) as connection:
            is_less = literal(earlier, UtcDateTime) < literal(later, UtcDateTime)
            assert connection.execute(select(is_less)).scalar_one()
