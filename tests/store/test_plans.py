"""What a claim costs: what is due, however many feeds there are."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from tests.conftest import MakeSettings
from tests.store.rows import HOUR, LEASE, NOON
from worker.store import open_engine, writing
from worker.store.claims import claim, due_stages
from worker.store.models import Feed
from worker.store.sessions import reading

pytestmark = pytest.mark.slow

DUE = 1_000
HELD = 50  # of those that are due, by others
EXPIRED = 3
LIMIT = 100
# A claimed row is read, locked, read again and written; each of the held ones is passed over.
ROWS = 4 * (LIMIT + HELD + EXPIRED)

SEARCH = re.compile("SEARCH feeds USING (?:(?:COVERING )?INDEX ix_feeds_due|INTEGER PRIMARY KEY) ")

FILL = {
    "postgresql": (
        "INSERT INTO feeds (id, url, due_at, created_at) SELECT n, 'https://h' || n || '.example/',"
        " CAST(:noon AS timestamptz) + (n - :due) * interval '1 second', :noon"
        " FROM generate_series(1, :number) AS n"
    ),
    "sqlite": (
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :number)"
        " INSERT INTO feeds (id, url, due_at, created_at) SELECT n, 'https://h' || n || '/',"
        " strftime('%Y-%m-%d %H:%M:%S.000000', :noon, (n - :due) || ' seconds'), :noon FROM s"
    ),
}


@pytest.fixture
def postgres(make_settings: MakeSettings, migrated_postgres_url: str) -> Iterator[Engine]:
    """A million feeds."""
    engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
    fill(engine, 1_000_000, NOON)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(make_settings: MakeSettings, migrated_sqlite_url: str) -> Iterator[Engine]:
    """A hundred thousand feeds."""
    engine = open_engine(make_settings(store={"url": migrated_sqlite_url}))
    fill(engine, 100_000, NOON.strftime("%Y-%m-%d %H:%M:%S.000000"))
    yield engine
    engine.dispose()


def fill(engine: Engine, number: int, noon: Any) -> None:
    """Feeds that come due one each second, some of the oldest held by others."""
    with writing(engine) as connection:
        values = {"number": number, "noon": noon, "due": DUE}
        connection.execute(text(FILL[engine.dialect.name]), values)
        held = Feed.__table__.update()  # type: ignore[attr-defined]
        for until, ids in (
            (HOUR, range(1, HELD + 1)),
            (-HOUR, range(HELD + 1, HELD + EXPIRED + 1)),
        ):
            lease = {"lease_token": "other", "lease_until": NOON + until}
            connection.execute(held.where(Feed.id.in_(ids)).values(**lease))
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE feeds")
        connection.commit()


def sent(engine: Engine, work: Callable[[], object]) -> list[tuple[str, Any]]:
    """The statements on feeds that `work` sends, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, parameters: Any, *_: object) -> None:
        if "feeds" in statement:
            found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    work()
    event.remove(engine, "before_cursor_execute", note)
    assert found
    return found


def works(engine: Engine) -> dict[str, Callable[[], object]]:
    def claimed(number: int, times: int = 1) -> None:
        for _ in range(times):
            batch = claim(engine, "poll", LIMIT, LEASE, NOON)
            assert batch is not None
            assert len(batch.rows) == number

    return {
        "due_stages": lambda: due_stages(engine, NOON),
        "expired": lambda: claimed(1, EXPIRED),
        "claim": lambda: claimed(LIMIT),
        "claim again": lambda: claimed(LIMIT),
    }


@pytest.mark.parametrize("now_due", ["a thousand", "all"])
def test_a_million_feeds_in_postgresql(postgres: Engine, now_due: str) -> None:
    if now_due == "all":
        with writing(postgres) as connection:
            connection.exec_driver_sql("UPDATE feeds SET due_at = due_at - interval '30 days'")
        with postgres.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.exec_driver_sql("VACUUM ANALYZE feeds")
    for name, work in works(postgres).items():
        for statement, parameters in sent(postgres, work):
            with writing(postgres) as connection:
                explained = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
                ).scalar_one()
                connection.rollback()
            (document,) = explained if isinstance(explained, list) else json.loads(explained)
            nodes = list(scans(document["Plan"]))
            assert nodes, (name, document)
            assert {one["Node Type"] for one in nodes} <= {"Index Scan", "Index Only Scan"}, nodes
            assert {one["Index Name"] for one in nodes} <= {"ix_feeds_due", "pk_feeds"}, nodes
            read = sum(rows_read(one) for one in nodes)
            assert read <= ROWS, (name, read, nodes)
            plan = document["Plan"]
            pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            assert pages < 20 * ROWS, (name, pages)


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read feeds and were run."""
    is_scan = plan.get("Relation Name") == "feeds" and plan["Node Type"] != "ModifyTable"
    if is_scan and plan["Actual Loops"]:
        yield plan
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


def rows_read(node: dict[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float(node["Actual Loops"] * (node["Actual Rows"] + removed))


@pytest.mark.parametrize("now_due", ["a thousand", "all"])
def test_a_hundred_thousand_feeds_in_sqlite(sqlite: Engine, now_due: str) -> None:
    if now_due == "all":
        with writing(sqlite) as connection:
            connection.exec_driver_sql("UPDATE feeds SET due_at = '2026-01-01 00:00:00.000000'")
    for name, work in works(sqlite).items():
        for statement, parameters in sent(sqlite, work):
            with reading(sqlite) as connection:
                lines = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plan = [line.detail for line in lines]
            mine = [line for line in plan if "feeds" in line]
            assert mine, plan
            assert all(SEARCH.match(line) for line in mine), plan
            steps = instructions(sqlite, statement, parameters)
            assert steps < 150 * ROWS, (name, steps)


def instructions(engine: Engine, statement: str, parameters: Any) -> int:
    """How many of its machine's instructions SQLite takes for a statement, to the hundred."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 100
        return 0

    with writing(engine) as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.set_progress_handler(step, 100)
        connection.exec_driver_sql(statement, parameters).all()
        raw.set_progress_handler(None, 0)
        connection.rollback()
    return count
