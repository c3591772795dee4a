"""Statements on hosts: what a site asked for, kept where a broker's loss does not forget it."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from worker.articles.furniture import Block, Memory, learn
from worker.http.robots import RobotsFile
from worker.store import models
from worker.store.dialects import insert_new, insert_or_update
from worker.store.sessions import reading, writing

_VARIABLES = 500  # of a statement; SQLite takes 32,766, plans are shared best when alike


@dataclass(frozen=True, slots=True)
class HostRow:
    """What is known of a host: its robots.txt (None: never asked for), and until when it wants to
    be left alone.
    """

    robots: RobotsFile | None
    cool_down_until: datetime | None


@dataclass(frozen=True, slots=True)
class Lesson:
    """The blocks of an article of this host."""

    host: str
    article_id: int
    blocks: Sequence[Block]


def known(engine: Engine, hosts: Collection[str]) -> dict[str, HostRow]:
    """Those of `hosts` (by `host_of`) that something is known of."""
    names = sorted(hosts)
    found: dict[str, HostRow] = {}
    with reading(engine) as connection:
        for start in range(0, len(names), _VARIABLES):
            statement = select(
                models.Host.host,
                models.Host.robots,
                models.Host.robots_status,
                models.Host.robots_until,
                models.Host.cool_down_until,
            ).where(models.Host.host.in_(names[start : start + _VARIABLES]))
            for host, body, status, until, cool_down_until in connection.execute(statement):
                robots = RobotsFile(body, status, until) if until else None
                found[host] = HostRow(robots, cool_down_until)
    return found


def save_robots(engine: Engine, host: str, file: RobotsFile) -> None:
    """Keep what came of asking a host for its robots.txt."""
    values = {
        "host": host,
        "robots": file.body,
        "robots_status": file.status,
        "robots_until": file.until,
    }
    with writing(engine) as connection:
        connection.execute(insert_or_update(connection, models.Host, "host", values))


def cool_down(connection: Connection, host: str, until: datetime) -> None:
    """Leave a host alone until then, or until the later time that it asked for before.

    Whoever does so for several hosts in one transaction takes them in alphabetical order, lest two
    wait for each other.
    """
    row = insert_new(connection, models.Host).values(host=host, cool_down_until=until)
    if connection.execute(row.returning(models.Host.host)).first() is not None:
        return
    sooner = or_(models.Host.cool_down_until.is_(None), models.Host.cool_down_until < until)
    connection.execute(
        update(models.Host).where(models.Host.host == host, sooner).values(cool_down_until=until)
    )


def without_robots(engine: Engine, feed_ids: Collection[int]) -> set[int]:
    """Those of the feeds whose user has turned robots.txt off for their articles."""
    feed = models.Feed
    ids = sorted(feed_ids)
    found: set[int] = set()
    with reading(engine) as connection:
        for start in range(0, len(ids), _VARIABLES):
            part = ids[start : start + _VARIABLES]
            statement = select(feed.id, feed.options).where(
                feed.id.in_(part), feed.options.is_not(None)
            )
            found |= {
                feed_id
                for feed_id, options in connection.execute(statement)
                if (options or {}).get("robots") is False
            }
    return found


def languages(engine: Engine, hosts: Collection[str]) -> dict[str, dict[str, int]]:
    """How many articles of each of `hosts` were surely in each language; none for one not met."""
    return _learned(engine, models.Host.languages, hosts)


def furniture(engine: Engine, hosts: Collection[str]) -> dict[str, Memory]:
    """What is remembered of the blocks of each of `hosts`; none for one not met."""
    return _learned(engine, models.Host.furniture, hosts)


def _learned(
    engine: Engine, column: InstrumentedAttribute[Any], hosts: Collection[str]
) -> dict[str, Any]:
    names = sorted(hosts)
    found: dict[str, Any] = {}
    host = models.Host.host
    with reading(engine) as connection:
        for start in range(0, len(names), _VARIABLES):
            part = names[start : start + _VARIABLES]
            statement = select(host, column).where(host.in_(part), column.is_not(None))
            found |= {name: value or {} for name, value in connection.execute(statement)}
    return found


def learn_furniture(engine: Engine, lessons: Iterable[Lesson]) -> None:
    """Remember what blocks articles have, in one short transaction."""
    by_host: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        by_host.setdefault(lesson.host, []).append(lesson)
    if not by_host:
        return
    names = sorted(by_host)  # in alphabetical order, lest two transactions wait for each other
    host = models.Host
    with writing(engine) as connection:
        rows = [{"host": name} for name in names]
        connection.execute(insert_new(connection, host), rows)
        statement = select(host.host, host.furniture).where(host.host.in_(names))
        locked = connection.execute(statement.order_by(host.host).with_for_update())
        for name, known in locked.all():
            memory: Memory = known or {}
            for lesson in by_host[name]:
                memory = learn(memory, lesson.article_id, lesson.blocks)
            change = update(host).where(host.host == name).values(furniture=memory)
            connection.execute(change)


def count_languages(connection: Connection, told: Iterable[tuple[str, str]]) -> None:
    """Add articles, each as its host and its language, to what is known of their hosts."""
    counts: dict[str, Counter[str]] = {}
    for host, language in told:
        counts.setdefault(host, Counter())[language] += 1
    if counts:  # in alphabetical order, lest two transactions wait for each other
        rows = json.dumps([[host, counts[host]] for host in sorted(counts)])
        connection.execute(_ADD_LANGUAGES[connection.dialect.name], {"rows": rows})


_ADD_LANGUAGES = {
    "sqlite": text("""
        INSERT INTO hosts (host, languages)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]')
        FROM json_each(:rows) WHERE true
        ON CONFLICT (host) DO UPDATE SET languages = (
            SELECT json_group_object(key, number) FROM (
                SELECT key, sum(value) AS number FROM (
                    SELECT key, value FROM json_each(coalesce(hosts.languages, '{}'))
                    UNION ALL SELECT key, value FROM json_each(excluded.languages)
                ) GROUP BY key
            )
        )
    """),
    "postgresql": text("""
        INSERT INTO hosts (host, languages)
        SELECT value ->> 0, value -> 1 FROM json_array_elements(CAST(:rows AS json))
        ON CONFLICT (host) DO UPDATE SET languages = (
            SELECT json_object_agg(key, number) FROM (
                SELECT key, sum(CAST(value AS integer)) AS number FROM (
                    SELECT key, value FROM json_each_text(coalesce(hosts.languages, '{}'))
                    UNION ALL SELECT key, value FROM json_each_text(excluded.languages)
                ) AS both_counts GROUP BY key
            ) AS sums
        )
    """),
}
