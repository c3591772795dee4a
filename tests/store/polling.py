"""Polls without a site: what a feed lists is said, and saved as if it had been answered."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, RowMapping, event

from tests.store.rows import HOUR, NOON, claimed
from worker.feeds import Entry, PollOutcome
from worker.store import polls


def entry(name: str, *, url: str | None = "", hours: int = 0, **values: Any) -> Entry:
    """An entry, published `hours` after the day before."""
    made = Entry(
        identity=name,
        url=f"https://example.org/news/{name}" if url == "" else url,
        title=f"Title of {name}",
        summary="",
        content="",
        authors=("A. Reporter",),
        published_at=NOON - timedelta(days=1) + hours * HOUR,
        updated_at=None,
        revision="1",
    )
    return replace(made, **values)


def listing(
    row: RowMapping, entries: Sequence[Entry], now: datetime = NOON, **values: Any
) -> PollOutcome:
    """That a claimed feed's document has changed and lists `entries`."""
    feed = polls.known(row)
    changed = replace(
        feed, changed_at=now, succeeded_at=now, etag='"1"', identity_by=feed.identity_by or "guid"
    )
    outcome = PollOutcome(
        "changed", changed, now + HOUR / 2, status=200, title="A feed", entries=tuple(entries)
    )
    return replace(outcome, **values)


def unchanged(row: RowMapping, now: datetime = NOON, **values: Any) -> PollOutcome:
    """That a claimed feed's document is the one that is known."""
    feed = replace(polls.known(row), succeeded_at=now)
    return replace(PollOutcome("unchanged", feed, now + HOUR / 2, status=304), **values)


def failed(row: RowMapping, now: datetime = NOON, **values: Any) -> PollOutcome:
    """That a claimed feed could not be polled."""
    feed = polls.known(row)
    feed = replace(feed, failures=feed.failures + 1)
    return replace(PollOutcome("failed", feed, now + HOUR, detail="It failed."), **values)


def poll(
    engine: Engine,
    listed: Mapping[str, Sequence[Entry]] | Sequence[Entry],
    now: datetime = NOON,
    *,
    silent: Collection[str] = (),
    passed_over: Collection[str] = (),
    **values: Any,
) -> int:
    """Claim the due feeds and save that each lists what `listed` says for its URL, or for all;
    returns how many articles are to be fetched.
    """
    batch = claimed(engine, "poll", now)
    quiet = {"silent": frozenset(silent), "passed_over": frozenset(passed_over)}
    outcomes = [
        listing(
            row,
            listed[row["url"]] if isinstance(listed, Mapping) else listed,
            now,
            **quiet,
            **values,
        )
        for row in batch.rows
    ]
    return polls.save(engine, batch, outcomes).articles


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent within the block; one for many rows is one."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)
