"""Statements of the room `translate`: texts that were translated before, and articles whose
translations are late or missing.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    bindparam,
    delete,
    func,
    select,
    update,
)

from worker.language.targets import needed
from worker.language.translate import Key, Translation
from worker.reasons import Reason
from worker.store import models, tallies
from worker.store.articles import step
from worker.store.dialects import insert_new
from worker.store.sessions import read_now, reading, writing

_KEPT = timedelta(days=30)
_LONGEST_MODEL = 128  # characters, of a key
_MOST_OVERDUE = 500  # at a tick
_FOR_GOOD = (Reason.LANGUAGE_UNKNOWN, Reason.CRASHED)


class StoredTranslations:
    """Texts that engines have translated; the chain's cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, keys: Sequence[Key]) -> dict[Key, Translation]:
        """What is there of the translations under these keys."""
        by_model: dict[Key, list[Key]] = defaultdict(list)
        for key in keys:
            by_model[replace(key, text_hash="")].append(key)
        found: dict[Key, Translation] = {}
        with reading(self._engine) as connection:
            for several in by_model.values():
                found |= _find(connection, several)
        return found

    def keep(self, items: Mapping[Key, Translation]) -> None:
        """Keep translations; one that is there already stays."""
        # In one order everywhere, or two processes that keep the same texts wait for each other.
        ordered = sorted(items.items(), key=lambda item: _columns(item[0]))
        with writing(self._engine) as connection:
            now = read_now(connection)
            rows = [
                {
                    **dict(_columns(key)),
                    "text": made.text,
                    "flags": list(made.flags),
                    "created_at": now,
                }
                for key, made in ordered
            ]
            connection.execute(insert_new(connection, models.CachedTranslation), rows)


def _find(connection: Connection, keys: Sequence[Key]) -> dict[Key, Translation]:
    """Of one model and language pair."""
    cached = models.CachedTranslation
    first = dict(_columns(keys[0]))
    del first["text_hash"]
    statement = select(cached.text_hash, cached.text, cached.flags).where(
        *(getattr(cached, name) == value for name, value in first.items()),
        cached.text_hash.in_([key.text_hash for key in keys]),
    )
    rows = {row.text_hash: row for row in connection.execute(statement)}
    return {
        key: Translation(row.text, key.engine, key.model, tuple(row.flags))
        for key in keys
        if (row := rows.get(key.text_hash))
    }


def _columns(key: Key) -> tuple[tuple[str, str], ...]:
    return (
        ("engine", key.engine),
        ("model", key.model[:_LONGEST_MODEL]),
        ("source", key.source),
        ("target", key.target),
        ("text_hash", key.text_hash),
    )


def forget(engine: Engine, now: datetime | None = None) -> int:
    """Drop cached translations that are older than 30 days; returns how many."""
    with writing(engine) as connection:
        old = models.CachedTranslation.created_at < (now or read_now(connection)) - _KEPT
        return connection.execute(delete(models.CachedTranslation).where(old)).rowcount


def publish_overdue(engine: Engine, targets: Sequence[str], now: datetime | None = None) -> int:
    """Have those articles published in their own language that have waited for a translation as
    long as they may, whoever holds them; returns how many. Their translations into the `targets`
    follow.
    """
    article = models.Article
    with reading(engine) as connection:
        now = now or read_now(connection)
        # By this condition alone, so that SQLite, too, takes the index that is for it.
        overdue = select(article.id).where(article.translate_by <= now)
        ids = list(connection.scalars(overdue.order_by(article.translate_by).limit(_MOST_OVERDUE)))
    if not ids:
        return 0
    with writing(engine) as connection:
        return _publish_overdue(connection, now, ids, targets)


def _publish_overdue(
    connection: Connection, now: datetime, ids: Sequence[int], targets: Sequence[str]
) -> int:
    article = models.Article
    columns = (
        article.id, article.attempts, article.language, article.translations, article.history,
        article.degradations,
    )  # fmt: skip
    statement = (
        select(*columns)
        .where(article.id.in_(ids), article.translate_by <= now, article.stage == "translate")
        .order_by(article.id)  # in one order everywhere
        .with_for_update(skip_locked=True)  # somebody just finishes it
    )
    found = connection.execute(statement).mappings().all()
    if not found:
        return 0
    table: Any = article.__table__
    connection.execute(
        update(table)
        .where(table.c.id == bindparam("article_id"))
        .values(
            stage="publish", due_at=now, attempts=0, expiries=0, lease_token=None,
            lease_until=None, translate_by=None, translation_status="waiting",
        ),
        [_late(row, now, targets) for row in found],
    )  # fmt: skip
    tallies.add(connection, "translate", now, [("waiting", Reason.LATE)] * len(found))
    return len(found)


def _late(row: RowMapping, now: datetime, targets: Sequence[str]) -> dict[str, Any]:
    missing: dict[str, Any] = dict.fromkeys(needed(row["language"], targets))
    line = step("translate", now, row["attempts"], "waiting", Reason.LATE)
    degradation = {"stage": "translate", "reason": Reason.LATE, "detail": None}
    return {
        "article_id": row["id"],
        "translations": missing | (row["translations"] or {}),
        "history": [*row["history"], line],
        "degradations": [*row["degradations"], degradation],
    }


def untranslated(engine: Engine, since: timedelta) -> list[dict[str, Any]]:
    """How many articles of the last so long are untranslated, by language and reason."""
    article = models.Article
    number = func.count().label("number")
    with reading(engine) as connection:
        statement = (
            select(article.language, article.translation_reason.label("reason"), number)
            .where(
                article.translation_reason.is_not(None),
                article.first_seen_at >= read_now(connection) - since,
            )
            .group_by(article.language, article.translation_reason)
            .order_by(number.desc(), article.language, article.translation_reason)
        )
        return [dict(row) for row in connection.execute(statement).mappings()]


def backfill(engine: Engine, since: timedelta) -> list[int]:
    """Have all done articles of the last so long translated that are untranslated, for whatever
    reason but an unknown language or a crash; returns their ids.
    """
    with writing(engine) as connection:
        now = read_now(connection)
        is_wanted = _is_untranslated(now - since, but=_FOR_GOOD)
        return _translate_again(connection, now, is_wanted)


def is_anything_to_backfill(engine: Engine, since: timedelta) -> bool:
    """Whether any article of the last so long could be translated if an engine were there."""
    with reading(engine) as connection:
        now = read_now(connection)
        any_ = select(models.Article.id).where(_may_be_tried(now, since)).limit(1)
        return connection.execute(any_).first() is not None


def backfill_known(
    engine: Engine, knows: Callable[[str], bool], since: timedelta, limit: int
) -> list[int]:
    """Have up to `limit` done articles of the last so long translated, the newest first, whose
    language an engine `knows` by now; returns their ids.

    Not those whose translation was no good, and not those that were tried again a while ago.
    """
    article = models.Article
    with reading(engine) as connection:
        now = read_now(connection)
        statement = select(article.language).where(_may_be_tried(now, since)).distinct()
        waiting = [language for language in connection.scalars(statement) if language]
    languages = [language for language in waiting if knows(language)]
    if not languages:
        return []
    with writing(engine) as connection:
        is_wanted = _may_be_tried(now, since) & article.language.in_(languages)
        return _translate_again(connection, now, is_wanted, limit)


def _may_be_tried(now: datetime, since: timedelta) -> ColumnElement[bool]:
    is_untranslated = _is_untranslated(now - since, but=(*_FOR_GOOD, Reason.REJECTED))
    return is_untranslated & (models.Article.due_at <= now)


def _is_untranslated(since: datetime, *, but: Sequence[Reason]) -> ColumnElement[bool]:
    article = models.Article
    return (
        article.translation_reason.not_in(but)
        & article.translation_reason.is_not(None)  # said, for the sake of the partial index
        & article.language.is_not(None)
        & (article.stage == "done")
        & (article.first_seen_at >= since)
    )


def _translate_again(
    connection: Connection,
    now: datetime,
    is_wanted: ColumnElement[bool],
    limit: int | None = None,
) -> list[int]:
    article = models.Article
    picked = (
        select(article.id)
        .where(is_wanted)
        .order_by(article.first_seen_at.desc(), article.id.desc())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.scalars(picked))
    table: Any = article.__table__
    if ids:
        connection.execute(
            update(table)
            .where(table.c.id == bindparam("article_id"))
            .values(
                stage="translate", due_at=now, attempts=0, expiries=0, lease_token=None,
                lease_until=None, translate_by=None,
            ),
            [{"article_id": number} for number in sorted(ids)],
        )  # fmt: skip
    return sorted(ids)
