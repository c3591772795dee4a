"""Rows to test statements on: made where no statement makes them, claimed, and read back."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any, TypeVar

from sqlalchemy import Engine, RowMapping, insert, select, update

from worker.settings import Stage
from worker.store.claims import Claim, claim
from worker.store.models import Article, Base, Feed
from worker.store.sessions import reading, writing

T = TypeVar("T")

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
HOUR = timedelta(hours=1)

_numbers = count(1)


def rows(engine: Engine, model: type[Base], **where: Any) -> Sequence[RowMapping]:
    """All rows of a table that have these values, in the order of their keys."""
    table = Base.metadata.tables[model.__tablename__]
    with reading(engine) as connection:
        query = select(table).filter_by(**where).order_by(*table.primary_key.columns)
        return connection.execute(query).mappings().all()


def row(engine: Engine, model: type[Base], **where: Any) -> RowMapping:
    """The one row of a table that has these values."""
    found = rows(engine, model, **where)
    assert len(found) == 1, found
    return found[0]


def change(engine: Engine, model: type[Base], **values: Any) -> None:
    """Set columns in every row of a table."""
    with writing(engine) as connection:
        connection.execute(update(model).values(**values))


def add_feed(engine: Engine, url: str = "https://example.org/feed", **values: Any) -> int:
    """A feed that is due at noon."""
    return _add(engine, Feed, {"url": url, "due_at": NOON, "created_at": NOON, **values})


def add_article(engine: Engine, stage: str, **values: Any) -> int:
    """An article due in `stage` at noon, with a URL of its own and as a process left it."""
    number = next(_numbers)
    url = f"https://example.org/{number}"
    made = {
        "url": url,
        "url_key": f"key-{number}",
        "canonical_url": url,
        "canonical_key": f"key-{number}",
        "stage": stage,
        "due_at": NOON,
        "first_seen_at": NOON,
        "feed_entry": {"title": "Said", "summary": "<p>As said.</p>", "content": "", "authors": []},
        "title": f"Title {number}",
        "language": "en",
        "translation_status": "not_needed",
        "degradations": [],
        "history": [],
    }
    return _add(engine, Article, made | values)


def claimed(engine: Engine, stage: Stage, now: datetime = NOON, limit: int = 100) -> Claim:
    """A claim of what is due; fails when nothing is."""
    batch = claim(engine, stage, limit, LEASE, now)
    assert batch is not None, f"nothing was due in {stage}"
    return batch


def at_once(*work: Callable[[], T]) -> list[T]:
    """What each of `work` returns, run in threads that begin at one moment."""
    barrier = Barrier(len(work))

    def run(one: Callable[[], T]) -> T:
        barrier.wait(60)
        return one()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


def _add(engine: Engine, model: type[Base], values: dict[str, Any]) -> int:
    identity = Base.metadata.tables[model.__tablename__].c.id
    with writing(engine) as connection:
        added: int = connection.execute(
            insert(model).values(**values).returning(identity)
        ).scalar_one()
        return added
