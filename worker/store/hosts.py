"""Statements on hosts: what a site asked for, kept where a broker's loss does not forget it."""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, or_, select, text, update

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
    names = sorted(hosts)
    found: dict[str, dict[str, int]] = {}
    host = models.Host
    with reading(engine) as connection:
        for start in range(0, len(names), _VARIABLES):
            part = names[start : start + _VARIABLES]
            statement = select(host.host, host.languages).where(
                host.host.in_(part), host.languages.is_not(None)
            )
            found |= {name: dict(counts or {}) for name, counts in connection.execute(statement)}
    return found


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
