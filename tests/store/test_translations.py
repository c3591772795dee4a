"""Cached translations, articles whose translations are late, and those that are taken up again."""

import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.conftest import MakeSettings
from tests.parallel import in_processes
from tests.store.rows import HOUR, NOON, add_article, at_once, change, claimed, row, rows
from tests.store.test_articles import fetched, processed, steps
from tests.store.test_stories import add_endpoint
from worker.feeds import Entry
from worker.language.translate import Key, TranslateOutcome, Translation
from worker.reasons import Reason
from worker.settings import Settings
from worker.store import articles, open_engine, stories, translations
from worker.store.claims import finish
from worker.store.models import Article, CachedTranslation, Event, Story, Tally
from worker.store.sessions import read_now, reading, writing
from worker.store.translations import StoredTranslations

WAIT = timedelta(seconds=30)
LATE = NOON + WAIT
WEEK = timedelta(days=7)
ENTRY = Entry("1", None, "Said", "", "", (), None, None, "2")
PAIR = (
    Translation("Hujan", "opus", "en-id", ("short",)),
    Translation("Hujan di pelabuhan.", "opus", "en-id"),
)


def key(text_hash: str = "a" * 64, **values: Any) -> Key:
    made: dict[str, Any] = {"engine": "opus", "model": "1", "source": "en", "target": "id"}
    return Key(**made | values, text_hash=text_hash)


def translated(article_id: int) -> TranslateOutcome:
    return TranslateOutcome(article_id, "translated", {"id": PAIR})


def untranslated(article_id: int, reason: Reason = Reason.NO_ENGINE) -> TranslateOutcome:
    return TranslateOutcome(article_id, "untranslated", {"id": None}, reason)


def waiting(engine: Engine) -> int:
    """An article that waits for its translation until `LATE`."""
    article_id = add_article(engine, "process")
    articles.save_processed(engine, claimed(engine, "process"), [processed(article_id)], WAIT)
    return article_id


def translate(engine: Engine, outcome: TranslateOutcome, now: datetime = LATE) -> None:
    articles.save_translated(engine, claimed(engine, "translate", now), [outcome], now)


def overdue(engine: Engine, now: datetime = LATE) -> int:
    return translations.publish_overdue(engine, ("en", "id"), now)


def publish(engine: Engine, now: datetime = LATE) -> None:
    stories.publish(engine, claimed(engine, "publish", now), WAIT)


def reasons(engine: Engine) -> Sequence[tuple[str, str]]:
    return [(one["stage"], one["reason"]) for one in row(engine, Article)["degradations"]]


def keep_hundreds(settings: Settings) -> int:
    """Keep the same translations, a hundred at a time, in an order of this process's own."""
    engine = open_engine(settings)
    cache = StoredTranslations(engine)
    found = 0
    for turn in range(20):
        made = [(key(f"{turn}-{n}"), Translation(str(n), "opus", "1")) for n in range(100)]
        random.shuffle(made)
        cache.keep(dict(made))
        found += len(cache.find([one for one, _ in made]))
    engine.dispose()
    return found


class TestCache:
    def test_what_was_kept_is_found(self, engine: Engine) -> None:
        cache = StoredTranslations(engine)
        ours = {
            key("a" * 64): Translation("Hujan", "opus", "1", ("numbers", "short")),
            key("b" * 64): Translation("", "opus", "1"),
            key("a" * 64, target="ms"): Translation("Hujan.", "opus", "1"),
            key("a" * 64, engine="deepl"): Translation("Gerimis", "deepl", "1"),
        }
        cache.keep(ours)
        absent = [key("c" * 64), key(model="2"), key(source="fr")]
        assert cache.find([*ours, *absent]) == ours
        assert cache.find([]) == {}

    def test_it_may_be_kept_twice(self, engine: Engine) -> None:
        cache = StoredTranslations(engine)
        for _ in range(2):
            cache.keep({key(): Translation("Hujan", "opus", "1")})
        assert cache.find([key()])[key()].text == "Hujan"
        assert len(rows(engine, CachedTranslation)) == 1

    def test_a_model_with_a_long_name(self, engine: Engine) -> None:
        long = key(model="m" * 300)
        cache = StoredTranslations(engine)
        cache.keep({long: Translation("Hujan", "opus", long.model)})
        assert cache.find([long])[long].model == long.model

    def test_text_that_no_database_has_a_place_for(self, engine: Engine) -> None:
        cache = StoredTranslations(engine)
        cache.keep({key(): Translation("N\0L \ud800", "opus", "1")})
        assert cache.find([key()])[key()].text == "N\ufffdL ?"

    @pytest.mark.slow
    def test_processes_that_keep_the_same_do_not_wait_for_each_other_for_good(
        self, store_settings: Settings
    ) -> None:
        assert in_processes(4, keep_hundreds, store_settings) == [2_000] * 4

    def test_old_ones_are_forgotten(self, engine: Engine) -> None:
        cache = StoredTranslations(engine)
        cache.keep({key(): Translation("Hujan", "opus", "1")})
        with reading(engine) as connection:
            now = read_now(connection)
        assert translations.forget(engine, now + timedelta(days=29)) == 0
        assert translations.forget(engine, now + timedelta(days=31)) == 1
        assert cache.find([key()]) == {}


class TestOverdue:
    def test_it_is_waited_for_as_long_as_said(self, engine: Engine) -> None:
        waiting(engine)
        assert row(engine, Article)["translate_by"] == LATE
        assert overdue(engine, LATE - timedelta(seconds=1)) == 0
        assert row(engine, Article)["stage"] == "translate"
        assert overdue(engine, LATE) == 1
        article = row(engine, Article)
        assert (article["stage"], article["due_at"]) == ("publish", LATE)
        assert (article["translation_status"], article["translate_by"]) == ("waiting", None)
        assert article["translations"] == {"id": None}
        assert reasons(engine) == [("translate", "late")]
        assert steps(article)[-1] == ("translate", "waiting")
        assert overdue(engine, LATE) == 0
        of_translate = rows(engine, Tally, stage="translate")
        assert [(one["reason"], one["number"]) for one in of_translate] == [("late", 1)]

    def test_whoever_holds_it_comes_too_late(self, engine: Engine) -> None:
        article_id = waiting(engine)
        holder = claimed(engine, "translate")
        assert overdue(engine, LATE) == 1
        before = row(engine, Article)
        assert (before["lease_token"], before["lease_until"]) == (None, None)
        assert (before["attempts"], before["expiries"]) == (0, 0)
        articles.save_translated(engine, holder, [translated(article_id)], LATE)
        assert row(engine, Article) == before

    def test_whoever_just_finishes_it_is_not_waited_for(
        self, make_settings: MakeSettings, migrated_postgres_url: str
    ) -> None:
        engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
        article_id = waiting(engine)
        holder = claimed(engine, "translate")
        with writing(engine) as connection:
            assert finish(connection, "translate", article_id, holder.token, {"stage": "publish"})
            assert overdue(engine) == 0
        assert overdue(engine) == 0
        assert row(engine, Article)["translation_status"] == "not_needed"
        engine.dispose()

    def test_two_ticks_at_once_publish_it_once(self, engine: Engine) -> None:
        for _ in range(20):
            waiting(engine)
        ticks = at_once(*[lambda: overdue(engine, LATE)] * 4)
        assert sum(ticks) == 20
        assert {len(one["history"]) for one in rows(engine, Article)} == {2}

    def test_what_took_its_holder_down_is_published_like_the_others(self, engine: Engine) -> None:
        waiting(engine)
        change(engine, Article, expiries=3)
        overdue(engine, LATE)
        publish(engine)
        article = row(engine, Article)
        assert (article["stage"], article["reason"]) == ("translate", None)
        assert article["story_id"] is not None

    @pytest.mark.parametrize("stage", ["fetch", "process", "publish", "done"])
    def test_only_what_waits_for_a_translation(self, engine: Engine, stage: str) -> None:
        waiting(engine)
        change(engine, Article, stage=stage)
        before = row(engine, Article)
        assert overdue(engine, LATE) == 0
        assert row(engine, Article) == before

    def test_an_idle_tick_takes_no_lock(self, engine: Engine) -> None:
        waiting(engine)
        begun: list[bool] = []
        event.listen(engine, "begin", lambda conn: begun.append("immediate" in conn.info))
        assert overdue(engine, NOON) == 0
        assert begun == [False]

    def test_the_tick_reads_by_its_index(self, engine: Engine) -> None:
        for number in range(50):
            add_article(engine, "translate", translate_by=NOON + HOUR if number else None)
        statements: list[tuple[str, Any]] = []

        def note(*args: Any) -> None:
            if "articles" in args[2]:
                statements.append((args[2], args[3]))

        event.listen(engine, "before_cursor_execute", note)
        overdue(engine, NOON)
        event.remove(engine, "before_cursor_execute", note)
        ((statement, parameters),) = statements
        is_sqlite = engine.dialect.name == "sqlite"
        with engine.connect() as connection:
            if not is_sqlite:  # so small a table it would read as a whole
                connection.exec_driver_sql("SET enable_seqscan = off")
            explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
            plan = connection.exec_driver_sql(explain + statement, parameters).all()
        assert "ix_articles_translate_by" in str(plan)


class TestWaitedFor:
    """Whose publication waits for its translation."""

    def published(self, engine: Engine) -> int:
        article_id = add_article(engine, "fetch")
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])
        change(engine, Article, stage="publish")
        publish(engine, NOON)
        return article_id

    def process(self, engine: Engine, now: datetime = NOON, **values: Any) -> None:
        batch = claimed(engine, "process", now)
        outcome = processed(batch.rows[0]["id"], **values)
        articles.save_processed(engine, batch, [outcome], WAIT)

    def test_not_one_that_needs_none(self, engine: Engine) -> None:
        add_article(engine, "process")
        self.process(engine, next_stage="publish")
        assert row(engine, Article)["translate_by"] is None

    def test_not_one_that_is_only_cleaned_again(self, engine: Engine) -> None:
        article_id = self.published(engine)
        articles.reprocess(engine, ids=[article_id])
        self.process(engine, row(engine, Article)["due_at"])
        article = row(engine, Article)
        assert (article["stage"], article["translate_by"]) == ("translate", None)

    def test_one_that_was_fetched_again(self, engine: Engine) -> None:
        article_id = self.published(engine)
        change(engine, Article, stage="fetch")
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])
        self.process(engine)
        assert row(engine, Article)["translate_by"] == LATE


class TestLate:
    def test_its_translation_follows_and_is_told(self, engine: Engine) -> None:
        add_endpoint(engine)
        article_id = waiting(engine)
        overdue(engine, LATE)
        publish(engine)
        story = json.loads(row(engine, Event)["body"])["data"]["story"]
        assert (story["translation_status"], story["translations"]) == ("waiting", {"id": None})
        article = row(engine, Article)
        assert (article["stage"], article["translate_by"]) == ("translate", None)
        assert overdue(engine, LATE + WEEK) == 0

        translate(engine, translated(article_id), LATE + HOUR)
        assert row(engine, Article)["stage"] == "publish"
        publish(engine, LATE + HOUR)
        article = row(engine, Article)
        assert (article["stage"], article["translation_status"]) == ("done", "translated")
        assert article["degradations"] == []
        told = row(engine, Story)
        assert (told["changes"], told["article_count"]) == (["translation"], 1)
        assert told["update_due_at"] == LATE + HOUR + WAIT

        change(engine, Story, update_due_at=None, changes=None)
        change(engine, Article, stage="publish")
        publish(engine, LATE + 2 * HOUR)
        assert row(engine, Story)["changes"] is None

    def test_one_in_time_is_part_of_the_news(self, engine: Engine) -> None:
        add_endpoint(engine)
        translate(engine, translated(waiting(engine)), NOON)
        publish(engine)
        article = row(engine, Article)
        assert (article["stage"], article["translate_by"]) == ("done", None)
        assert row(engine, Story)["changes"] is None
        story = json.loads(row(engine, Event)["body"])["data"]["story"]
        assert story["translations"]["id"]["title"] == "Hujan"

    def test_one_that_never_came_is_no_news(self, engine: Engine) -> None:
        add_endpoint(engine)
        article_id = waiting(engine)
        overdue(engine, LATE)
        publish(engine)
        translate(engine, untranslated(article_id, Reason.ENGINE_FAILED), LATE + HOUR)
        article = row(engine, Article)
        assert (article["stage"], article["translation_status"]) == ("done", "untranslated")
        assert reasons(engine) == [("translate", "engine_failed")]
        assert row(engine, Story)["changes"] is None

    def test_only_that_of_the_article_that_is_told_of_is_news(self, engine: Engine) -> None:
        add_endpoint(engine)
        first, second = waiting(engine), waiting(engine)
        overdue(engine, LATE)
        publish(engine)
        assert len(rows(engine, Story)) == 1
        change(engine, Story, update_due_at=None, changes=None)
        batch = claimed(engine, "translate", LATE + HOUR)
        articles.save_translated(engine, batch, [translated(second)], LATE + HOUR)
        publish(engine, LATE + HOUR)
        assert row(engine, Story)["changes"] is None
        articles.save_translated(engine, batch, [translated(first)], LATE + HOUR)
        publish(engine, LATE + HOUR)
        assert row(engine, Story)["changes"] == ["translation"]

    def test_a_text_that_changes_meanwhile_is_fetched_first(self, engine: Engine) -> None:
        article_id = waiting(engine)
        with writing(engine) as connection:
            entry: Any = type(
                "Entry", (), {"title": "", "summary": "", "content": "", "authors": ()}
            )
            articles.revise(connection, [(article_id, entry)], NOON)
        assert row(engine, Article)["translate_by"] is None
        assert overdue(engine, LATE) == 0


def retry(article_id: int, **values: Any) -> TranslateOutcome:
    made: dict[str, Any] = {"reason": Reason.TIMEOUT, "detail": "opus: slow"}
    return TranslateOutcome(article_id, "retry", {"id": None}, **made | values)


class TestRetry:
    def test_it_stays_and_is_due_later(self, engine: Engine) -> None:
        article_id = waiting(engine)
        minute = timedelta(minutes=1)
        for number in (1, 2):
            now = NOON + number * minute
            translate(engine, retry(article_id, retry_after=minute / 2), now)
            article = row(engine, Article)
            assert (article["stage"], article["attempts"]) == ("translate", number)
            assert article["due_at"] == now + minute / 2
            assert (article["translate_by"], article["lease_token"]) == (LATE, None)
            assert article["degradations"] == []
        assert steps(article)[1:] == 2 * [("translate", "retry")]

    def test_what_came_of_it_so_far_is_published_when_it_is_late(self, engine: Engine) -> None:
        article_id = waiting(engine)
        partly = retry(article_id, retry_after=HOUR)
        translate(engine, TranslateOutcome(article_id, "retry", {"id": PAIR, "fr": None},
                                           partly.reason, retry_after=HOUR), NOON)  # fmt: skip
        overdue(engine, LATE)
        found = row(engine, Article)["translations"]
        assert (found["id"]["title"], found["fr"]) == ("Hujan", None)

    def test_a_story_that_was_told_keeps_what_it_has_until_all_is_there(
        self, engine: Engine
    ) -> None:
        """Else they would be no news any more when the others come."""
        add_endpoint(engine)
        article_id = waiting(engine)
        overdue(engine, LATE)
        publish(engine)
        before = row(engine, Article)["translations"]
        partly = TranslateOutcome(
            article_id, "retry", {"id": PAIR, "fr": None}, Reason.TIMEOUT, retry_after=HOUR
        )
        translate(engine, partly, LATE)
        article = row(engine, Article)
        assert (article["translations"], article["stage"]) == (before, "translate")
        assert reasons(engine) == [("translate", "late")]
        last = TranslateOutcome(
            article_id, "untranslated", {"id": PAIR, "fr": None}, Reason.ENGINE_FAILED
        )
        translate(engine, last, LATE + HOUR)
        publish(engine, LATE + HOUR)
        assert row(engine, Story)["changes"] == ["translation"]
        assert reasons(engine) == [("translate", "engine_failed")]


def left(engine: Engine, reason: Reason | None = Reason.NO_ENGINE, **values: Any) -> int:
    """A published article that is untranslated for this reason, seen an hour ago."""
    with reading(engine) as connection:
        now = read_now(connection)
    made = {
        "translation_status": "untranslated" if reason else "translated",
        "translation_reason": reason,
        "translations": {"id": None},
        "first_seen_at": now - HOUR,
        "due_at": now - HOUR,
        "degradations": [{"stage": "translate", "reason": reason}] if reason else [],
        "history": [{"stage": "publish", "outcome": "opened"}],
    }
    return add_article(engine, "done", **made | values)


class TestBackfill:
    @pytest.mark.parametrize(
        ("reason", "by_hand", "by_itself"),
        [
            (Reason.NO_ENGINE, True, True),
            (Reason.MODEL_MISSING, True, True),
            (Reason.ENGINE_FAILED, True, True),
            (Reason.UNAUTHORIZED, True, True),
            (Reason.REJECTED, True, False),
            (Reason.LANGUAGE_UNKNOWN, False, False),
            (Reason.CRASHED, False, False),
            (None, False, False),
        ],
    )
    def test_by_reason(
        self, engine: Engine, reason: Reason | None, *, by_hand: bool, by_itself: bool
    ) -> None:
        article_id = left(engine, reason)
        assert translations.is_anything_to_backfill(engine, WEEK) is by_itself
        found = translations.backfill_known(engine, lambda _: True, WEEK, 10)
        assert found == [article_id] * by_itself
        change(engine, Article, stage="done")
        assert translations.backfill(engine, WEEK) == [article_id] * by_hand
        article = row(engine, Article)
        assert article["stage"] == ("translate" if by_hand else "done")
        assert article["translate_by"] is None

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "publish", "failed"])
    def test_one_that_is_not_done_is_left_alone(self, engine: Engine, stage: str) -> None:
        left(engine)
        change(engine, Article, stage=stage)
        before = row(engine, Article)
        assert translations.backfill(engine, WEEK) == []
        assert row(engine, Article) == before

    def test_by_age(self, engine: Engine) -> None:
        with reading(engine) as connection:
            now = read_now(connection)
        left(engine, first_seen_at=now - 3 * HOUR)
        new = left(engine)
        assert translations.backfill(engine, 2 * HOUR) == [new]

    def test_the_newest_first_as_far_as_their_language_is_known(self, engine: Engine) -> None:
        with reading(engine) as connection:
            now = read_now(connection)
        ids = [
            left(engine, language=language, first_seen_at=now - HOUR / (number + 1))
            for number, language in enumerate(("en", "fr", "en", "en"))
        ]
        asked: list[str] = []

        def knows(language: str) -> bool:
            asked.append(language)
            return language == "en"

        assert translations.backfill_known(engine, knows, WEEK, 2) == ids[2:]
        assert sorted(asked) == ["en", "fr"]
        assert translations.backfill_known(engine, knows, WEEK, 2) == ids[:1]
        assert translations.backfill_known(engine, knows, WEEK, 2) == []

    def test_two_that_look_at_once_take_each_one_once(self, engine: Engine) -> None:
        ids = [left(engine) for _ in range(20)]

        def take() -> list[int]:
            return translations.backfill_known(engine, lambda _: True, WEEK, 20)

        taken = at_once(*[take] * 4)
        assert sorted(one for several in taken for one in several) == ids

    def test_not_one_without_a_language_nor_before_its_time(self, engine: Engine) -> None:
        with reading(engine) as connection:
            now = read_now(connection)
        left(engine, language=None)
        later = left(engine, due_at=now + HOUR)
        assert not translations.is_anything_to_backfill(engine, WEEK)
        assert translations.backfill_known(engine, lambda _: True, WEEK, 10) == []
        assert translations.backfill(engine, WEEK) == [later]  # by hand it is always time

    def test_again_and_again_but_ever_less_often(self, engine: Engine) -> None:
        article_id = waiting(engine)
        translate(engine, untranslated(article_id), NOON)
        publish(engine, NOON)
        before = row(engine, Article)["history"]
        outcome = untranslated(article_id, Reason.MODEL_MISSING)
        for age, wait in ((1, 10), (10, 10), (60, 30), (600, 300)):
            now = NOON + timedelta(minutes=age)
            change(engine, Article, stage="translate", due_at=now)
            translate(engine, outcome, now)
            article = row(engine, Article)
            assert (article["stage"], article["due_at"]) == ("done", now + timedelta(minutes=wait))
            assert article["history"][:-1] == before
            assert article["history"][-1]["reason"] == "model_missing"
        assert reasons(engine) == [("translate", "model_missing")]

    def test_a_translation_that_is_there_by_now_is_told(self, engine: Engine) -> None:
        add_endpoint(engine)
        article_id = waiting(engine)
        translate(engine, untranslated(article_id), NOON)
        publish(engine)
        with reading(engine) as connection:
            now = read_now(connection)
        change(engine, Article, first_seen_at=now)
        assert row(engine, Article)["translation_reason"] == "no_engine"
        assert translations.backfill_known(engine, lambda _: True, WEEK, 10) == [article_id]
        translate(engine, translated(article_id), now + HOUR)
        publish(engine, now + HOUR)
        article = row(engine, Article)
        assert (article["stage"], article["translation_status"]) == ("done", "translated")
        assert (article["translation_reason"], article["degradations"]) == (None, [])
        assert row(engine, Story)["changes"] == ["translation"]
