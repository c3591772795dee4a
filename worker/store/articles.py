"""Statements of the rooms `articles` and `language`: an article's way from entry to readable."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, Update, bindparam, select, update

from worker.articles import Article, FetchOutcome, Page, furniture
from worker.feeds import Entry, Feed
from worker.http.politeness import host_of
from worker.language import FeedText, ProcessOutcome, Source
from worker.language.translate import Texts, TranslateOutcome
from worker.reasons import Reason
from worker.settings import Stage
from worker.store import hosts, models, pages, tallies
from worker.store.claims import Claim, finish
from worker.store.dialects import insert_new
from worker.store.sessions import read_now, reading, writing
from worker.stories import (
    Wording,
    content_hash,
    is_home,
    is_reworded,
    same_site,
    unwrapped,
    url_key,
)

_ARTICLES: Table = models.Base.metadata.tables[models.Article.__tablename__]
_ENDED = ("done", "failed")
_VARIABLES = 500  # of one statement; SQLite takes 32,766
_AGAIN = timedelta(minutes=10)  # until one that is still untranslated is tried by itself, at least


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry that is to become the article with this key; `silent` when nobody is to be alerted
    of it.
    """

    feed: Feed
    entry: Entry
    silent: bool
    key: str


def key(feed: Feed, entry: Entry) -> str:
    """The key (64 hex digits) of the article that an entry becomes: one for each URL."""
    if entry.url:
        return url_key(entry.url)
    # An entry without a link is its own article, named by its feed.
    name = f"{feed.id}\x1f{entry.identity}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(name).hexdigest()


def create(
    connection: Connection, listed: Sequence[Listed], now: datetime
) -> dict[tuple[int, str], int]:
    """Make an article of each entry, or find the one that has its URL; ids by the feed's id and
    the entry's identity.
    """
    rows: dict[str, dict[str, Any]] = {}
    for one in listed:
        rows.setdefault(one.key, _row(one, now))
    if not rows:
        return {}
    # In one order everywhere, or two polls that list the same articles wait for each other.
    values = [{"url_key": key, **rows[key]} for key in sorted(rows)]
    connection.execute(insert_new(connection, models.Article), values)
    loud = {one.key for one in listed if not one.silent}
    _unsilence(connection, sorted(loud))
    ids: dict[str, int] = {}
    for start in range(0, len(values), _VARIABLES):
        part = [row["url_key"] for row in values[start : start + _VARIABLES]]
        found = select(models.Article.url_key, models.Article.id).where(
            models.Article.url_key.in_(part)
        )
        ids |= {row.url_key: row.id for row in connection.execute(found)}
    return {(one.feed.id, one.entry.identity): ids[one.key] for one in listed}


def revise(connection: Connection, edited: Iterable[tuple[int, Entry]], now: datetime) -> int:
    """Fetch articles again whose entries changed; returns how many.

    If one is in somebody's hands, that one's result will be late: the lease is gone with this.
    """
    entries = dict(edited)
    if not entries:
        return 0
    statement = (
        update(_ARTICLES)
        .where(_ARTICLES.c.id == bindparam("article_id"), _ARTICLES.c.stage != "deleted")
        .values(
            stage="fetch", due_at=now, attempts=0, expiries=0, reason=None, degradations=[],
            lease_token=None, lease_until=None, translate_by=None,
        )
    )  # fmt: skip
    # In one order everywhere, for the same reason as in `create`.
    rows = [{"article_id": id_, "feed_entry": _feed_entry(entries[id_])} for id_ in sorted(entries)]
    connection.execute(statement, rows)
    return len(rows)


def _unsilence(connection: Connection, url_keys: Sequence[str]) -> None:
    """What one feed's first poll found is news all the same when another feed lists it as new."""
    for start in range(0, len(url_keys), _VARIABLES):
        connection.execute(
            update(models.Article)
            .where(
                models.Article.url_key.in_(url_keys[start : start + _VARIABLES]),
                models.Article.silent,
                models.Article.stage.not_in(_ENDED),
            )
            .values(silent=False)
        )


def to_fetch(row: RowMapping) -> Article:
    """A row claimed for `fetch` as the room knows it."""
    return Article(
        id=row["id"],
        url=row["url"],
        attempts=row["attempts"],
        first_seen_at=row["first_seen_at"],
        silent=row["silent"],
    )


def save_fetched(engine: Engine, claim: Claim, outcomes: Iterable[FetchOutcome]) -> None:
    """Execute fetch outcomes in one transaction."""
    _execute(engine, claim, [_fetched(one) for one in outcomes])


def sources(engine: Engine, claim: Claim) -> list[Source]:
    """Rows claimed for `process`, with their pages, as the room knows them."""
    with reading(engine) as connection:
        found = pages.load(connection, [row["id"] for row in claim.rows])
        feeds = _feeds(connection, {row["feed_id"] for row in claim.rows})
    names = {row["id"]: host_of(row["url"] or "") for row in claim.rows}
    languages = hosts.languages(engine, set(names.values()))
    sites = {article_id: host_of(several[0].url) for article_id, several in found.items()}
    memories = hosts.furniture(engine, set(sites.values()))
    return [
        Source(
            article_id=row["id"],
            url=row["url"],
            published_at=row["published_at"],
            feed=_feed_text(row["feed_entry"], feeds.get(row["feed_id"])),
            pages=() if _has_no_pages(row) else found.get(row["id"], ()),
            languages=languages.get(names[row["id"]], {}),
            repeated=furniture.of(memories.get(sites.get(row["id"], ""), {}), row["id"]),
        )
        for row in claim.rows
    ]


def save_processed(
    engine: Engine,
    claim: Claim,
    outcomes: Iterable[ProcessOutcome],
    translate_wait: timedelta | None = None,
) -> None:
    """Execute process outcomes in one transaction.

    An article whose page was fetched again, and says something else now, is on record as revised.
    After `translate_wait` an article is published without its translation; None: when it is there.
    """
    until = claim.now + translate_wait if translate_wait is not None else None
    rows = {row["id"]: row for row in claim.rows}
    done = [(one, rows[one.article_id]) for one in outcomes]
    before = _wordings(engine, [row["id"] for _, row in done if _may_be_revised(row)])
    changes = [_processed(one, row["url"], before.get(row["id"]), until) for one, row in done]
    _execute(engine, claim, changes)


def was_revised(row: RowMapping) -> bool:
    """Whether an article has come to say something else since it was published."""
    since = takewhile(lambda line: line["stage"] != "publish", reversed(row["history"]))
    return any(line["outcome"] == "revised" for line in since)


def to_translate(row: RowMapping) -> Texts:
    """A row claimed for `translate` as the room knows it."""
    return Texts(row["id"], row["language"], row["title"] or "", row["summary"] or "")


def save_translated(
    engine: Engine,
    claim: Claim,
    outcomes: Iterable[TranslateOutcome],
    now: datetime | None = None,
) -> None:
    """Execute translate outcomes, each settled by now, in one transaction.

    An article that has been published already is so again if any translation is new. `now` stands
    in for the store's clock, in tests.
    """
    if now is None:
        with reading(engine) as connection:
            now = read_now(connection)
    _execute(engine, claim, [_translated(outcome, now) for outcome in outcomes])


def is_published(row: RowMapping) -> bool:
    """Whether an article has been published as it stands, but for its translations."""
    others = (line["stage"] for line in reversed(row["history"]) if line["stage"] != "translate")
    return row["story_id"] is not None and next(others, None) == "publish"


def was_translated(row: RowMapping) -> bool:
    """Whether an article was translated since it was published, and nothing else was done to it."""
    return is_published(row) and row["history"][-1]["stage"] == "translate"


def reprocess(
    engine: Engine, *, since: timedelta | None = None, ids: Sequence[int] | None = None
) -> list[int]:
    """Have done articles cleaned again from their kept pages, without fetching; returns whose.

    `since` takes those whose pages came in the last so long, `ids` only these. What an article's
    fetch came to stays on record; it goes on in the story that it is in, and alerts nobody.
    """
    chosen: list[int] = []
    with writing(engine) as connection:
        now = read_now(connection)
        found = _to_reprocess(connection, now - since if since else None, ids)
        for start in range(0, len(found), _VARIABLES):
            part = found[start : start + _VARIABLES]
            connection.execute(_again(now), [_reset(row) for row in part])
            chosen += [row["id"] for row in part]
    return chosen


def _to_reprocess(
    connection: Connection, since: datetime | None, ids: Sequence[int] | None
) -> Sequence[RowMapping]:
    article, page = models.Article, models.Page
    kept = select(page.article_id).where(page.article_id == article.id)
    if since:
        kept = kept.where(page.fetched_at >= since)
    statement = select(article.id, article.degradations).where(
        article.stage == "done", kept.exists()
    )
    if ids is None:
        return connection.execute(statement.order_by(article.id)).mappings().all()
    found: list[RowMapping] = []
    for start in range(0, len(ids), _VARIABLES):
        part = statement.where(article.id.in_(ids[start : start + _VARIABLES]))
        found += connection.execute(part).mappings()
    return sorted(found, key=lambda row: row["id"])  # in one order everywhere


def _again(now: datetime) -> Update:
    return (
        update(_ARTICLES)
        .where(_ARTICLES.c.id == bindparam("article_id"), _ARTICLES.c.stage == "done")
        .values(
            stage="process", due_at=now, attempts=0, expiries=0, lease_token=None, lease_until=None
        )
    )


def _reset(row: RowMapping) -> dict[str, Any]:
    of_fetch = [one for one in row["degradations"] if one["stage"] == "fetch"]
    return {"article_id": row["id"], "degradations": of_fetch}


def listing(engine: Engine, limit: int, stage: str | None = None) -> list[dict[str, Any]]:
    """The newest articles, newest first, without their texts."""
    article = models.Article
    columns = (
        article.id, article.first_seen_at, article.stage, article.language, article.story_id,
        article.title, article.url, article.feed_id, article.reason,
        article.feed_entry["title"].as_string().label("feed_title"),
    )  # fmt: skip
    statement = select(*columns).order_by(article.id.desc()).limit(limit)
    if stage:
        statement = statement.where(article.stage == stage)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def find(engine: Engine, asked: str) -> dict[str, Any] | None:
    """The article with this number or URL; None when there is none.

    A URL in any of its spellings, be it the feed's or the one that the page gives itself.
    """
    article, key = models.Article, url_key(asked)
    ways = (
        article.id == models.as_id(asked),
        article.url_key == key,
        article.canonical_key == key,  # not indexed: asked only if the others find nothing
    )
    with reading(engine) as connection:
        for way in ways:
            statement = select(article.__table__).where(way).order_by(article.id).limit(1)
            if row := connection.execute(statement).mappings().first():
                return dict(row)
    return None


def newest_urls(engine: Engine, limit: int = 1_000) -> list[str]:
    """The URLs of the newest articles."""
    article = models.Article
    statement = select(article.url).where(article.url.is_not(None)).order_by(article.id.desc())
    with reading(engine) as connection:
        return [url for (url,) in connection.execute(statement.limit(limit)) if url]


def step(
    stage: Stage, now: datetime, attempts: int, outcome: str, reason: Reason | None = None,
    detail: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A line of an article's history."""
    line = {
        "stage": stage,
        "at": now.isoformat(),
        "attempts": attempts,
        "outcome": outcome,
        "reason": reason,
        "detail": detail or None,
    }
    return {name: value for name, value in line.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Change:
    """What an outcome does to its article's row; `values` is given the row as it was claimed.

    `resting` are hosts that want to be left alone, and for how long; `language` is a host, and the
    language that an article of it is surely in; of `lesson` its site's furniture is learned.
    """

    article_id: int
    outcome: str
    reason: Reason | None
    detail: str
    values: Callable[[RowMapping], dict[str, Any]]
    pages: Sequence[Page] = ()
    resting: Mapping[str, timedelta] = field(default_factory=dict)
    language: tuple[str, str] | None = None
    lesson: hosts.Lesson | None = None


def _execute(engine: Engine, claim: Claim, changes: Sequence[_Change]) -> None:
    rows = {row["id"]: row for row in claim.rows}
    # Before the transaction, since on SQLite every writer waits for it.
    packed = {
        change.article_id: [pages.pack(page) for page in change.pages]
        for change in changes
        if change.pages
    }
    held: list[_Change] = []
    with writing(engine) as connection:
        for change in changes:
            row = rows[change.article_id]
            values = _after(row, claim, change) | change.values(row)
            if finish(connection, claim.stage, change.article_id, claim.token, values):
                held.append(change)
                if change.article_id in packed:
                    pages.save(connection, change.article_id, packed[change.article_id])
        # In one order everywhere, or two of these wait for each other.
        for host, wait in sorted(rest for change in changes for rest in change.resting.items()):
            hosts.cool_down(connection, host, read_now(connection) + wait)
        hosts.count_languages(connection, [change.language for change in held if change.language])
        outcomes = [(change.outcome, change.reason) for change in held]
        tallies.add(connection, claim.stage, claim.now, outcomes)
    # On its own: a host of many articles is locked for as short a time as can be.
    hosts.learn_furniture(engine, [change.lesson for change in held if change.lesson])


def _after(row: RowMapping, claim: Claim, change: _Change) -> dict[str, Any]:
    line = step(
        claim.stage, claim.now, row["attempts"], change.outcome, change.reason, change.detail
    )
    values: dict[str, Any] = {"history": [*row["history"], line]}
    if change.reason:
        degradation = {
            "stage": claim.stage,
            "reason": change.reason,
            "detail": change.detail or None,
        }
        values["degradations"] = [*row["degradations"], degradation]
    return values


def _fetched(outcome: FetchOutcome) -> _Change:
    def values(row: RowMapping) -> dict[str, Any]:
        if outcome.result == "retry":
            # Not degraded yet, and the count of tries goes on.
            attempts = row["attempts"] - (not outcome.counts)
            kept = {"attempts": attempts, "degradations": row["degradations"]}
            return {**kept, "due_at": outcome.due_at}
        return {"stage": "process", "due_at": outcome.due_at}

    return _Change(
        outcome.article_id,
        outcome.result,
        outcome.reason,
        outcome.detail,
        values,
        outcome.pages,
        outcome.cool_downs,
    )


def _may_be_revised(row: RowMapping) -> bool:
    """Whether an article that is in a story was fetched again, rather than only cleaned again."""
    fetched = bool(row["history"]) and row["history"][-1]["stage"] == "fetch"
    return row["story_id"] is not None and fetched and not _has_no_pages(row)


def _wordings(engine: Engine, ids: Sequence[int]) -> dict[int, Wording]:
    """What articles said until now, by their ids."""
    if not ids:
        return {}
    article = models.Article
    statement = select(article.id, article.title, article.text).where(article.id.in_(ids))
    with reading(engine) as connection:
        found = connection.execute(statement).all()
    return {row.id: Wording(row.title or "", row.text or "") for row in found}


def _processed(
    outcome: ProcessOutcome, url: str | None, before: Wording | None, until: datetime | None
) -> _Change:
    now = Wording(outcome.article.title, outcome.article.text)
    is_revised = before is not None and is_reworded(before, now)
    result = "degraded" if outcome.reason else "revised" if is_revised else "processed"
    host = host_of(url or "")
    site, blocks = host_of(outcome.page_url or ""), outcome.article.blocks
    is_worth_counting = outcome.is_language_sure and host and outcome.language
    return _Change(
        outcome.article_id,
        result,
        outcome.reason,
        outcome.detail,
        lambda row: {**_readable(outcome, row), "translate_by": _translate_by(outcome, row, until)},
        language=(host, outcome.language or "") if is_worth_counting else None,
        lesson=hosts.Lesson(site, outcome.article_id, blocks) if site and blocks else None,
    )


def _translate_by(
    outcome: ProcessOutcome, row: RowMapping, until: datetime | None
) -> datetime | None:
    """Until when its publication waits; one that is only cleaned again was published before."""
    is_waited_for = row["story_id"] is None or _may_be_revised(row)
    return until if is_waited_for and outcome.next_stage == "translate" else None


def _translated(outcome: TranslateOutcome, now: datetime) -> _Change:
    def values(row: RowMapping) -> dict[str, Any]:
        if outcome.result == "retry":
            wait = outcome.retry_after or timedelta(0)
            kept = {name: row[name] for name in ("attempts", "degradations")}
            if not is_published(row):  # else they would not be new when the others come
                kept["translations"] = _translations(outcome)
            return {**kept, "due_at": now + wait}
        return {**_after_translation(outcome, row, now), "translate_by": None}

    return _Change(outcome.article_id, outcome.result, outcome.reason, outcome.detail, values)


def _after_translation(outcome: TranslateOutcome, row: RowMapping, now: datetime) -> dict[str, Any]:
    translations = _translations(outcome)
    values = {
        "stage": "publish",
        "due_at": now,
        "translations": translations,
        "translation_status": outcome.result if translations else "not_needed",
        "translation_reason": outcome.reason,
        "degradations": _degradations(row, outcome),
    }
    if not is_published(row) or _there(translations) != _there(row["translations"] or {}):
        return values
    later = max(_AGAIN, (now - row["first_seen_at"]) / 2)
    line = step("translate", now, row["attempts"], outcome.result, outcome.reason, outcome.detail)
    history = [*_without_repeats(row["history"], line), line]
    return {**values, "stage": "done", "due_at": now + later, "history": history}


def _there(translations: Mapping[str, Any]) -> dict[str, Any]:
    return {target: one for target, one in translations.items() if one}


def _degradations(row: RowMapping, outcome: TranslateOutcome) -> list[dict[str, Any]]:
    """The article's, with what its translation came to at last in place of what it did before."""
    others = [one for one in row["degradations"] if one["stage"] != "translate"]
    if not outcome.reason:
        return others
    mine = {"stage": "translate", "reason": outcome.reason, "detail": outcome.detail or None}
    return [*others, mine]


def _without_repeats(
    history: Sequence[Mapping[str, Any]], line: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """A history without its last line, if the next one says that it came to the same once more."""
    names = ("stage", "outcome", "reason")
    is_same = bool(history) and all(history[-1].get(name) == line.get(name) for name in names)
    return [*history[:-1]] if is_same else [*history]


def _row(listed: Listed, now: datetime) -> dict[str, Any]:
    entry = listed.entry
    published_at = min(entry.published_at, now) if entry.published_at else None
    return {
        "url": unwrapped(entry.url) if entry.url else None,
        "feed_id": listed.feed.id,
        "stage": "fetch",
        "silent": listed.silent,
        "due_at": now,
        "first_seen_at": now,
        "published_at": published_at,
        "feed_entry": _feed_entry(entry),
        "degradations": [],
        "history": [step("poll", now, 1, "listed")],
    }


def _feed_entry(entry: Entry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "summary": entry.summary,
        "content": entry.content,
        "authors": list(entry.authors),
    }


def _feed_text(entry: Mapping[str, Any], feed: RowMapping | None) -> FeedText:
    return FeedText(
        title=entry["title"],
        summary=entry["summary"],
        content=entry["content"],
        authors=tuple(entry["authors"]),
        publisher=feed["title"] if feed else None,
        language=feed["language"] if feed else None,
    )


def _feeds(connection: Connection, ids: set[int | None]) -> dict[int, RowMapping]:
    rows = connection.execute(
        select(models.Feed.id, models.Feed.title, models.Feed.language).where(
            models.Feed.id.in_([feed_id for feed_id in ids if feed_id is not None])
        )
    ).mappings()
    return {row["id"]: row for row in rows}


def _has_no_pages(row: RowMapping) -> bool:
    """Whether the last fetch came to nothing: what is kept is from an earlier one."""
    return any(
        one["stage"] == "fetch" and one["reason"] != Reason.INCOMPLETE
        for one in row["degradations"]
    )


def _readable(outcome: ProcessOutcome, row: RowMapping) -> dict[str, Any]:
    article = outcome.article
    canonical = _canonical(article.canonical_url, row["url"], outcome.page_url)
    summary = asdict(outcome.summary) if outcome.summary else {"text": None, "method": None}
    return {
        "stage": outcome.next_stage,
        "due_at": row["due_at"],
        "title": article.title,
        "lead": article.lead,
        "text": article.text,
        "authors": list(article.authors) or row["feed_entry"]["authors"],
        "editor": article.editor,
        "publisher": article.publisher,
        "credited_sources": list(article.credited_sources),
        "dateline": article.dateline,
        "section": article.section,
        "tags": list(article.tags),
        "image": article.image.url if article.image else None,
        "word_count": article.word_count,
        "language": outcome.language,
        "published_at": outcome.published_at,
        "modified_at": article.modified_at,
        "canonical_url": canonical,
        "canonical_key": url_key(canonical) if canonical else None,
        "content_hash": content_hash(article.text, article.title),
        "summary": summary["text"],
        "summary_method": summary["method"],
        "translations": {},
        "translation_status": "not_needed",
        "translation_reason": None,
    }


def _canonical(declared: str | None, url: str | None, page_url: str | None) -> str | None:
    # A page may name its own site's address for itself; another site's would swallow the story.
    # And a template that names the home page on every article would make all of them one.
    # The feed's link may be a redirect of somebody else's: where it led to is the site that counts.
    sites = [site for site in (url, page_url) if site]
    if declared and not is_home(declared) and any(same_site(declared, site) for site in sites):
        return declared
    return url


def _translations(outcome: TranslateOutcome) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for target, pair in outcome.translations.items():
        if pair is None:
            found[target] = None
            continue
        title, summary = pair
        found[target] = {
            "title": title.text,
            "summary": summary.text,
            "engine": title.engine,
            "model": title.model,
            "quality": sorted({*title.flags, *summary.flags}),
        }
    return found
