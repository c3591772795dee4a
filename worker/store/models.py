"""The tables.

Each piece of work is a row that carries its own queue entry (`Work`): when it is due, how often it
was claimed, and who holds it until when. Which stage it waits in follows from the table, for
articles from `stage`.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time.

    Refuses naive values, and hands out aware ones on SQLite too, where SQLAlchemy's own type drops
    the zone. SQLite keeps them as text of fixed width, so that they compare as times do.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r}: give it a zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text without what a database has no place for: NUL (PostgreSQL refuses it), and half a
    surrogate pair (there is no UTF-8 for it).
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _partial(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


# SQLite numbers rows by itself only for INTEGER PRIMARY KEY.
Id = BigInteger().with_variant(Integer(), "sqlite")
_LARGEST_ID = 2**63 - 1


def as_id(text: str) -> int | None:
    """The row number that `text` is; None when no row can have it."""
    number = int(text) if text.isdecimal() and len(text) <= len(str(_LARGEST_ID)) else 0
    return number if 0 < number <= _LARGEST_ID else None


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        str: PlainText,
        bytes: LargeBinary,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


class Work:
    """The columns that make a row claimable (design, invariant 3).

    `attempts` counts claims since the last outcome that was no retry. `expiries` counts claims that
    ended by their lease running out: their holder was killed or hung.
    """

    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    expiries: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))


class Feed(Work, Base):
    """A feed, and the poll stage's unit of work.

    `state`: active or failing while it is polled; paused by hand, undeclared when it left the
    feeds file, or gone. `options`, `tags` and a title that is `title_given` are the user's; all
    from `etag` on is what polls have learned, `schedule` what the time of the next one follows
    from.
    """

    __tablename__ = "feeds"
    __table_args__ = (
        Index("ix_feeds_due", "due_at", **_partial("state IN ('active', 'failing')")),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(String(16), server_default="active")
    title: Mapped[str | None]
    title_given: Mapped[bool] = mapped_column(server_default=text("false"))
    site_url: Mapped[str | None]
    language: Mapped[str | None] = mapped_column(String(35))
    interval_seconds: Mapped[float | None]
    declared: Mapped[bool] = mapped_column(server_default=text("false"))
    options: Mapped[dict[str, Any] | None]
    tags: Mapped[list[Any] | None]
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    body_hash: Mapped[str | None] = mapped_column(String(64))
    polled_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    succeeded_at: Mapped[datetime | None]
    listed_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failure_score: Mapped[float] = mapped_column(server_default="0")
    failing_at: Mapped[datetime | None]
    status: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str | None]
    identity_by: Mapped[str | None] = mapped_column(String(8))
    gap_seconds: Mapped[float | None]
    newest_at: Mapped[datetime | None]
    hint_seconds: Mapped[float | None]
    skip_hours: Mapped[list[Any] | None]
    skip_days: Mapped[list[Any] | None]
    moved_to: Mapped[str | None]
    moved_polls: Mapped[int] = mapped_column(Integer, server_default="0")
    moved_at: Mapped[datetime | None]
    schedule: Mapped[list[Any] | None]
    created_at: Mapped[datetime]


class FormerUrl(Base):
    """A URL that a feed had before it moved: whoever adds it means that feed."""

    __tablename__ = "former_urls"

    url: Mapped[str] = mapped_column(primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feeds.id", ondelete="CASCADE"), index=True)


class Subscription(Base):
    """A feed's subscription at a WebSub hub. `state`: asked, active or denied.

    `token` is the secret part of the callback's path; `secret` signs what the hub sends.
    """

    __tablename__ = "subscriptions"

    feed_id: Mapped[int] = mapped_column(
        ForeignKey("feeds.id", ondelete="CASCADE"), primary_key=True
    )
    hub: Mapped[str]
    topic: Mapped[str]
    token: Mapped[str] = mapped_column(String(64), unique=True)
    secret: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    lease_ends_at: Mapped[datetime | None]
    pushed_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    detail: Mapped[str | None]


class Entry(Base):
    """One item of a feed, kept while the feed still lists it (`seen_at`, which moves once a day):
    it is new only once.

    An entry without an article was there at the feed's first poll, and passed over. `link` begins
    its link's key, for the case that its identity changes.
    """

    __tablename__ = "entries"
    __table_args__ = (
        UniqueConstraint("feed_id", "identity"),
        Index("ix_entries_link", "feed_id", "link"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feeds.id", ondelete="CASCADE"))
    identity: Mapped[str]
    link: Mapped[str | None] = mapped_column(String(16))
    article_id: Mapped[int | None] = mapped_column(
        ForeignKey("articles.id", ondelete="CASCADE"), index=True
    )
    revision: Mapped[str] = mapped_column(String(64))
    updated_at: Mapped[datetime | None]
    first_seen_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class Article(Work, Base):
    """An article, one a URL, with what the feed said, what the page said, and what became of it.

    `stage`: fetch, process, translate or publish while there is work to do; then done or failed,
    or deleted: a tombstone that holds the URL's place without any text. After `translate_by` it is
    published in its own language, and translated later. `translation_reason` says why it is
    `untranslated`; once it is done, `due_at` is when that may be tried again.
    """

    __tablename__ = "articles"
    __table_args__ = (
        Index("ix_articles_due", "stage", "due_at"),
        Index("ix_articles_story_id", "story_id"),
        Index("ix_articles_feed_id", "feed_id"),
        Index("ix_articles_translate_by", "translate_by", **_partial("translate_by IS NOT NULL")),
        Index(
            "ix_articles_untranslated",
            "language",
            "first_seen_at",
            **_partial("translation_reason IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    url_key: Mapped[str] = mapped_column(String(64), unique=True)
    url: Mapped[str | None]
    feed_id: Mapped[int | None] = mapped_column(ForeignKey("feeds.id", ondelete="SET NULL"))
    stage: Mapped[str] = mapped_column(String(16))
    silent: Mapped[bool] = mapped_column(server_default=text("false"))
    first_seen_at: Mapped[datetime]

    feed_entry: Mapped[dict[str, Any]]
    published_at: Mapped[datetime | None]

    modified_at: Mapped[datetime | None]
    canonical_url: Mapped[str | None]
    canonical_key: Mapped[str | None] = mapped_column(String(64))
    content_hash: Mapped[str | None] = mapped_column(String(64))
    title: Mapped[str | None]
    lead: Mapped[str | None]
    text: Mapped[str | None]
    authors: Mapped[list[Any] | None]
    editor: Mapped[str | None]
    publisher: Mapped[str | None]
    credited_sources: Mapped[list[Any] | None]
    dateline: Mapped[str | None]
    section: Mapped[str | None]
    tags: Mapped[list[Any] | None]
    image: Mapped[str | None]
    word_count: Mapped[int | None]
    language: Mapped[str | None] = mapped_column(String(35))
    summary: Mapped[str | None]
    summary_method: Mapped[str | None] = mapped_column(String(32))
    translations: Mapped[dict[str, Any] | None]
    translation_status: Mapped[str | None] = mapped_column(String(32))
    translation_reason: Mapped[str | None] = mapped_column(String(32))
    translate_by: Mapped[datetime | None]

    degradations: Mapped[list[Any]]
    history: Mapped[list[Any]]
    reason: Mapped[str | None] = mapped_column(String(32))
    story_id: Mapped[int | None] = mapped_column(ForeignKey("stories.id"))


class CachedTranslation(Base):
    """A text (by its hash, SHA-256) that an engine's model has translated."""

    __tablename__ = "cached_translations"
    __table_args__ = (Index("ix_cached_translations_created_at", "created_at"),)

    engine: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    source: Mapped[str] = mapped_column(String(35), primary_key=True)
    target: Mapped[str] = mapped_column(String(35), primary_key=True)
    text_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str]
    flags: Mapped[list[Any]]
    created_at: Mapped[datetime]


class Page(Base):
    """A page as it came, compressed (zstd). PostgreSQL partitions this table by day."""

    __tablename__ = "pages"
    __table_args__ = (
        Index("ix_pages_fetched_at", "fetched_at"),
        {"postgresql_partition_by": "RANGE (fetched_at)"},
    )

    article_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    fetched_at: Mapped[datetime] = mapped_column(primary_key=True)
    url: Mapped[str]
    charset: Mapped[str | None] = mapped_column(String(64))
    body: Mapped[bytes]


class Story(Base):
    """What the reader is told once, however many articles carry it.

    `update_due_at` is when those who want it are told that it changed, `changes` what did since
    they were told last, `updates` how often they were.
    """

    __tablename__ = "stories"
    __table_args__ = (
        Index("ix_stories_opened_at", "opened_at"),
        Index("ix_stories_update_due_at", "update_due_at", **_partial("update_due_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    title: Mapped[str]
    summary: Mapped[str | None]
    language: Mapped[str | None] = mapped_column(String(35))
    url: Mapped[str | None]
    article_count: Mapped[int] = mapped_column(Integer)
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    update_due_at: Mapped[datetime | None]
    changes: Mapped[list[Any] | None]
    updates: Mapped[int] = mapped_column(Integer, server_default="0")


class StoryKey(Base):
    """What a story is known by: each canonical URL and content hash that any of its articles ever
    had, so that a late copy of an earlier wording still finds it.
    """

    __tablename__ = "story_keys"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    story_id: Mapped[int] = mapped_column(ForeignKey("stories.id", ondelete="CASCADE"), index=True)


class Event(Base):
    """Something to tell; `body` holds the exact bytes that are signed and sent."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    event_key: Mapped[str] = mapped_column(unique=True)
    webhook_id: Mapped[str] = mapped_column(String(64), unique=True)
    type: Mapped[str] = mapped_column(String(64))
    story_id: Mapped[int | None] = mapped_column(ForeignKey("stories.id"), index=True)
    body: Mapped[bytes]
    occurred_at: Mapped[datetime]


class Endpoint(Work, Base):
    """A receiver, and the deliver stage's unit of work. `state`: active, paused or disabled.

    `secret` is sealed when `webhooks.secret_key` is set. `old_secrets` holds those that it
    replaced, each with the time (`until`) to which they sign beside it. `rules` says which stories
    it wants of all, when not all. A `kind` other than webhook is a chat or mail target: its whole
    URL is its `secret`, and `url` shows no more of it than may be seen.

    `failures` in a row began at `failing_at`; until `resting_until` nothing is sent, for the
    `rests`th time in a row. `rate_next_at` is when `max_per_minute` lets the next request go.
    """

    __tablename__ = "endpoints"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str]
    secret: Mapped[str]
    old_secrets: Mapped[list[Any] | None]
    state: Mapped[str] = mapped_column(String(16), server_default="active")
    event_types: Mapped[list[Any]]
    rules: Mapped[dict[str, Any] | None]
    allow_private: Mapped[bool] = mapped_column(server_default=text("false"))
    allow_http: Mapped[bool] = mapped_column(server_default=text("false"))
    kind: Mapped[str] = mapped_column(String(16), server_default="webhook")
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failing_at: Mapped[datetime | None]
    resting_until: Mapped[datetime | None]
    rests: Mapped[int] = mapped_column(Integer, server_default="0")
    max_per_minute: Mapped[int | None]
    rate_next_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]


class Delivery(Base):
    """One event for one endpoint. `state`: pending, sent, dead, held or cancelled.

    It has no lease of its own: its endpoint is what is leased. `attempts` counts requests,
    `earlier_attempts` those before it was last replayed or resumed: the schedule began anew then.
    `body` is what is sent in place of the event's: it says which of the endpoint's rules matched.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("event_id", "endpoint_id"),
        Index("ix_deliveries_endpoint_id_state", "endpoint_id", "state"),
        # With `id`: of many that came at one moment the first few are read, not all.
        Index("ix_deliveries_due", "endpoint_id", "due_at", "id", **_partial("state = 'pending'")),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    endpoint_id: Mapped[int] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"))
    body: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(String(16))
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    earlier_attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    reason: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Awaited(Base):
    """An endpoint that is told of a story as soon as `min_sources` publishers carry it: its other
    rules matched (`verdicts`) when the story was opened.
    """

    __tablename__ = "awaited"

    story_id: Mapped[int] = mapped_column(
        ForeignKey("stories.id", ondelete="CASCADE"), primary_key=True
    )
    endpoint_id: Mapped[int] = mapped_column(
        ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    min_sources: Mapped[int]
    verdicts: Mapped[list[Any]]


class Attempt(Base):
    """One request of a delivery, written before it is sent: without an outcome nobody knows it.

    `ended_at` is when its outcome was stored, `duration_seconds` how long the request took.
    """

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("delivery_id", "number"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    number: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    duration_seconds: Mapped[float | None]
    outcome: Mapped[str] = mapped_column(String(16), server_default="unknown")
    status: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str | None]
    excerpt: Mapped[str | None]


class Host(Base):
    """What a site asked for and what was learned of it; `host` is name plus an unusual port."""

    __tablename__ = "hosts"

    host: Mapped[str] = mapped_column(primary_key=True)
    robots: Mapped[bytes | None]
    robots_status: Mapped[int | None]
    robots_until: Mapped[datetime | None]
    cool_down_until: Mapped[datetime | None]
    time_zone: Mapped[str | None]
    languages: Mapped[dict[str, Any] | None]
    furniture: Mapped[dict[str, Any] | None]


class Tally(Base):
    """How many outcomes of one kind a group had; see `tallies`."""

    __tablename__ = "tallies"
    __table_args__ = (Index("ix_tallies_at", "at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime]
    stage: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    number: Mapped[int]


class File(Base):
    """A declarative file that was read into the store, known by the digest of its content."""

    __tablename__ = "files"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    applied_at: Mapped[datetime]


class Process(Base):
    """The heartbeat of one of our own processes."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(32))
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
