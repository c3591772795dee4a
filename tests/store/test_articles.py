from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import zstandard
from sqlalchemy import Engine, RowMapping

from tests.store.rows import HOUR, NOON, add_article, add_feed, change, claimed, row, rows
from worker.articles import CleanArticle, FetchOutcome, Page
from worker.articles.picture import Image
from worker.language import ProcessOutcome
from worker.language.summarize import Summary
from worker.language.translate import TranslateOutcome, Translation
from worker.reasons import Reason
from worker.store import articles, hosts, stories, webhooks
from worker.store.models import Article, Delivery, Event, Story
from worker.store.models import Page as PageRow
from worker.store.sessions import read_now, reading
from worker.stories import content_hash, url_key
from worker.webhooks import generate_secret
from worker.webhooks.events import EVENT_TYPES

PAGE = Page("https://example.org/final", b"<p>caf\xe9</p>" * 100, "latin-1", NOON)
TEXT = "Forty words of one and the same article. " * 5
WEATHER = CleanArticle(
    title="Rain over the harbour",
    text=TEXT,
    authors=("B. Writer",),
    publisher="The Ledger",
    canonical_url="https://www.example.org/rain",
    image=Image("https://example.org/rain.jpg"),
    lead="Boats stay in.",
    editor="C. Reader",
    credited_sources=("Antara",),
    dateline="HARBOUR",
    modified_at=NOON,
    section="Weather",
    tags=("rain", "harbour"),
)


def fetched(article_id: int, **values: Any) -> FetchOutcome:
    made: dict[str, Any] = {"result": "fetched", "due_at": NOON, "pages": (PAGE,)}
    return FetchOutcome(article_id, **made | values)


def processed(article_id: int, **values: Any) -> ProcessOutcome:
    made: dict[str, Any] = {
        "next_stage": "translate",
        "article": WEATHER,
        "published_at": NOON - HOUR,
        "language": "en",
        "summary": Summary("Forty words.", "lead"),
    }
    return ProcessOutcome(article_id, **made | values)


def steps(article: RowMapping) -> Sequence[tuple[str, str]]:
    return [(line["stage"], line["outcome"]) for line in article["history"]]


class TestSaveFetched:
    def test_a_page_is_kept_compressed(self, engine: Engine) -> None:
        article_id = add_article(engine, "fetch")
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])

        kept = row(engine, PageRow)
        assert (kept["article_id"], kept["part"], kept["url"]) == (article_id, 0, PAGE.url)
        assert len(kept["body"]) < len(PAGE.body)
        assert zstandard.ZstdDecompressor().decompress(kept["body"]) == PAGE.body
        article = row(engine, Article)
        assert (article["stage"], article["attempts"], article["lease_token"]) == (
            "process",
            0,
            None,
        )
        assert steps(article) == [("fetch", "fetched")]
        assert article["degradations"] == []

    def test_a_later_fetch_takes_the_place_of_the_page(self, engine: Engine) -> None:
        article_id = add_article(engine, "fetch")
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])
        change(engine, Article, stage="fetch")
        newer = replace(PAGE, body=b"newer", fetched_at=NOON + HOUR)
        later = claimed(engine, "fetch", NOON + HOUR)
        articles.save_fetched(engine, later, [fetched(article_id, pages=(newer,))])
        assert zstandard.ZstdDecompressor().decompress(row(engine, PageRow)["body"]) == b"newer"

    def test_the_parts_are_kept_in_reading_order(self, engine: Engine) -> None:
        article_id = add_article(engine, "fetch")
        parts = tuple(replace(PAGE, url=f"{PAGE.url}?page={n}") for n in range(1, 13))
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id, pages=parts)])
        assert [(one["part"], one["url"]) for one in rows(engine, PageRow)] == [
            (n, page.url) for n, page in enumerate(parts)
        ]
        (source,) = articles.sources(engine, claimed(engine, "process"))
        assert list(source.pages) == list(parts)

    def test_fewer_parts_take_the_place_of_more(self, engine: Engine) -> None:
        article_id = add_article(engine, "fetch")
        three = fetched(article_id, pages=(PAGE, PAGE, PAGE))
        articles.save_fetched(engine, claimed(engine, "fetch"), [three])
        change(engine, Article, stage="fetch")
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])
        assert [one["part"] for one in rows(engine, PageRow)] == [0]

    def test_an_incomplete_article_is_made_from_the_parts_that_there_are(
        self, engine: Engine
    ) -> None:
        article_id = add_article(engine, "fetch")
        outcome = fetched(
            article_id, pages=(PAGE, PAGE), reason=Reason.INCOMPLETE, detail="part 3 is missing"
        )
        articles.save_fetched(engine, claimed(engine, "fetch"), [outcome])
        article = row(engine, Article)
        assert article["degradations"] == [
            {"stage": "fetch", "reason": "incomplete", "detail": "part 3 is missing"}
        ]
        assert article["history"][-1]["outcome"] == "fetched"
        (source,) = articles.sources(engine, claimed(engine, "process"))
        assert len(source.pages) == 2

    def test_a_retry_keeps_count_and_is_no_degradation(self, engine: Engine) -> None:
        article_id = add_article(engine, "fetch", attempts=1)
        retry = fetched(
            article_id,
            result="retry",
            due_at=NOON + HOUR,
            pages=(),
            status=503,
            reason=Reason.SERVER_ERROR,
            detail="503 Service Unavailable",
        )
        articles.save_fetched(engine, claimed(engine, "fetch"), [retry])
        article = row(engine, Article)
        assert (article["stage"], article["due_at"], article["attempts"]) == (
            "fetch",
            NOON + HOUR,
            2,
        )
        assert article["degradations"] == []
        assert article["history"] == [
            {
                "stage": "fetch",
                "at": NOON.isoformat(),
                "attempts": 2,
                "outcome": "retry",
                "reason": "server_error",
                "detail": "503 Service Unavailable",
            }
        ]

    def test_a_degraded_article_goes_on_and_is_made_from_what_the_feed_said(
        self, engine: Engine
    ) -> None:
        feed_id = add_feed(engine, title="A feed", language="id")
        article_id = add_article(engine, "fetch", feed_id=feed_id)
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])
        change(engine, Article, stage="fetch")  # its entry changed; now the page is gone
        gone = fetched(article_id, result="degraded", pages=(), reason=Reason.GONE, detail="410")
        articles.save_fetched(engine, claimed(engine, "fetch"), [gone])

        article = row(engine, Article)
        assert article["stage"] == "process"
        assert article["degradations"] == [{"stage": "fetch", "reason": "gone", "detail": "410"}]
        (source,) = articles.sources(engine, claimed(engine, "process"))
        assert source.pages == ()
        assert (source.feed.title, source.feed.summary) == ("Said", "<p>As said.</p>")
        assert (source.feed.publisher, source.feed.language) == ("A feed", "id")

    def test_a_late_outcome_leaves_neither_row_nor_page(self, engine: Engine) -> None:
        article_id = add_article(engine, "fetch")
        late = claimed(engine, "fetch")
        claimed(engine, "fetch", NOON + HOUR)
        before = row(engine, Article)
        articles.save_fetched(engine, late, [fetched(article_id)])
        assert row(engine, Article) == before
        assert rows(engine, PageRow) == []


class TestSources:
    def test_each_article_comes_with_its_pages(self, engine: Engine) -> None:
        ids = [add_article(engine, "fetch") for _ in range(3)]
        outcomes = [fetched(i, pages=(replace(PAGE, body=str(i).encode()),)) for i in ids[:2]]
        outcomes.append(fetched(ids[2], pages=(), result="degraded", reason=Reason.NOT_FOUND))
        articles.save_fetched(engine, claimed(engine, "fetch"), outcomes)

        found = articles.sources(engine, claimed(engine, "process"))
        assert [source.article_id for source in found] == ids
        bodies = [[page.body for page in source.pages] for source in found]
        assert bodies == [[str(ids[0]).encode()], [str(ids[1]).encode()], []]
        page = found[0].pages[0]
        assert (page.url, page.charset, page.fetched_at) == (PAGE.url, "latin-1", NOON)

    def test_an_article_whose_feed_is_no_more(self, engine: Engine) -> None:
        add_article(engine, "process", feed_id=None)
        (source,) = articles.sources(engine, claimed(engine, "process"))
        assert (source.feed.publisher, source.feed.language) == (None, None)


class TestSaveProcessed:
    def test_the_readable_article_is_kept(self, engine: Engine) -> None:
        article_id = add_article(engine, "process", url="https://example.org/rain?id=1")
        articles.save_processed(engine, claimed(engine, "process"), [processed(article_id)])
        article = row(engine, Article)
        assert (article["stage"], article["due_at"]) == ("translate", NOON)
        assert (article["title"], article["text"]) == ("Rain over the harbour", TEXT)
        assert (article["authors"], article["publisher"]) == (["B. Writer"], "The Ledger")
        assert (article["summary"], article["summary_method"]) == ("Forty words.", "lead")
        assert (article["language"], article["word_count"]) == ("en", 40)
        assert (article["published_at"], article["modified_at"]) == (NOON - HOUR, NOON)
        assert (article["lead"], article["editor"]) == ("Boats stay in.", "C. Reader")
        assert (article["credited_sources"], article["dateline"]) == (["Antara"], "HARBOUR")
        assert (article["section"], article["tags"]) == ("Weather", ["rain", "harbour"])
        assert article["content_hash"] == content_hash(TEXT, article["title"])
        assert article["canonical_url"] == "https://www.example.org/rain"
        assert article["canonical_key"] == url_key("https://example.org/rain")
        assert article["translation_status"] == "not_needed"
        assert steps(article) == [("process", "processed")]

    def test_a_sure_language_counts_for_its_host(self, engine: Engine) -> None:
        for is_sure in (True, False):
            article_id = add_article(engine, "process", url=f"https://desa.example/{is_sure}")
            outcome = replace(processed(article_id, language="id"), is_language_sure=is_sure)
            articles.save_processed(engine, claimed(engine, "process"), [outcome])
        assert hosts.languages(engine, ["desa.example"]) == {"desa.example": {"id": 1}}
        add_article(engine, "process", url="https://desa.example/next")
        (source,) = articles.sources(engine, claimed(engine, "process"))
        assert source.languages == {"id": 1}

    def test_a_page_that_names_no_author_leaves_it_to_the_feed(self, engine: Engine) -> None:
        entry = {"title": "Said", "summary": "", "content": "", "authors": ["C. Feed"]}
        article_id = add_article(engine, "process", feed_entry=entry)
        bare = CleanArticle(title="Said", text="Short.")
        outcome = processed(article_id, article=bare, summary=None, next_stage="publish")
        articles.save_processed(engine, claimed(engine, "process"), [outcome])
        article = row(engine, Article)
        assert (article["title"], article["authors"]) == ("Said", ["C. Feed"])
        assert (article["summary"], article["summary_method"]) == (None, None)
        assert (article["content_hash"], article["canonical_url"]) == (None, article["url"])
        assert article["stage"] == "publish"

    @pytest.mark.parametrize(
        "declared", ["https://example.com/rain", "https://shop.example.org/", "https://[::1", None]
    )
    def test_another_sites_canonical_url_is_ignored(
        self, engine: Engine, declared: str | None
    ) -> None:
        article_id = add_article(engine, "process", url="https://example.org/mine")
        outcome = processed(article_id, article=replace(WEATHER, canonical_url=declared))
        articles.save_processed(engine, claimed(engine, "process"), [outcome])
        article = row(engine, Article)
        assert article["canonical_url"] == "https://example.org/mine"
        assert article["canonical_key"] == url_key("https://example.org/mine")

    def test_where_a_link_led_to_is_the_site_that_counts(self, engine: Engine) -> None:
        article_id = add_article(engine, "process", url="https://feeds.example.net/r/1")
        led = processed(article_id, page_url="https://www.example.org/rain?from=feed")
        articles.save_processed(engine, claimed(engine, "process"), [led])
        assert row(engine, Article)["canonical_url"] == "https://www.example.org/rain"

    def test_an_article_without_a_link_has_no_canonical_url(self, engine: Engine) -> None:
        article_id = add_article(engine, "process", url=None)
        articles.save_processed(engine, claimed(engine, "process"), [processed(article_id)])
        article = row(engine, Article)
        assert (article["canonical_url"], article["canonical_key"]) == (None, None)

    def test_degradations_add_up(self, engine: Engine) -> None:
        degraded = {"stage": "fetch", "reason": "timeout", "detail": None}
        article_id = add_article(engine, "process", degradations=[degraded])
        outcome = processed(article_id, reason=Reason.NO_TEXT, detail="nothing there")
        articles.save_processed(engine, claimed(engine, "process"), [outcome])
        article = row(engine, Article)
        assert article["degradations"] == [
            degraded,
            {"stage": "process", "reason": "no_text", "detail": "nothing there"},
        ]
        assert article["history"][-1]["outcome"] == "degraded"

    def test_a_late_outcome_changes_nothing(self, engine: Engine) -> None:
        article_id = add_article(engine, "process")
        late = claimed(engine, "process")
        claimed(engine, "process", NOON + HOUR)
        before = row(engine, Article)
        articles.save_processed(engine, late, [processed(article_id)])
        assert row(engine, Article) == before

    def test_text_that_a_database_has_no_place_for(self, engine: Engine) -> None:
        article_id = add_article(engine, "process")
        odd = processed(
            article_id, article=replace(WEATHER, title="N\0L", paragraphs=(f"\ud800{TEXT}",))
        )
        articles.save_processed(engine, claimed(engine, "process"), [odd])
        article = row(engine, Article)
        assert (article["title"], article["text"]) == ("N\ufffdL", f"?{TEXT}")


class TestReprocess:
    def done(self, engine: Engine, number: int = 1) -> list[int]:
        """Articles that went all their way, with their pages kept."""
        ids = [add_article(engine, "fetch") for _ in range(number)]
        articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(one) for one in ids])
        change(engine, Article, stage="done")
        return ids

    def test_a_done_article_is_cleaned_again(self, engine: Engine) -> None:
        degradations = [
            {"stage": "fetch", "reason": "incomplete", "detail": None},
            {"stage": "process", "reason": "no_text", "detail": None},
            {"stage": "translate", "reason": "no_engine", "detail": None},
        ]
        (article_id,) = self.done(engine)
        change(engine, Article, degradations=degradations, attempts=3, expiries=2)
        assert articles.reprocess(engine) == [article_id]
        article = row(engine, Article)
        assert (article["stage"], article["attempts"], article["expiries"]) == ("process", 0, 0)
        assert article["degradations"] == degradations[:1]
        later = claimed(engine, "process", article["due_at"] + HOUR)
        (source,) = articles.sources(engine, later)
        assert [page.url for page in source.pages] == [PAGE.url]

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "publish", "failed"])
    def test_one_that_is_not_done_is_left_alone(self, engine: Engine, stage: str) -> None:
        (article_id,) = self.done(engine)
        change(engine, Article, stage=stage)
        before = row(engine, Article)
        assert articles.reprocess(engine, ids=[article_id]) == []
        assert row(engine, Article) == before

    def test_one_without_pages_is_left_alone(self, engine: Engine) -> None:
        add_article(engine, "done")
        assert articles.reprocess(engine) == []

    def test_only_some(self, engine: Engine) -> None:
        first, _, third = self.done(engine, 3)
        assert articles.reprocess(engine, ids=[third, 999, first]) == [first, third]
        assert articles.reprocess(engine, ids=[]) == []

    def test_those_of_the_last_days(self, engine: Engine) -> None:
        with reading(engine) as connection:
            now = read_now(connection)
        old, new = (add_article(engine, "fetch") for _ in range(2))
        kept = [
            fetched(article_id, pages=(replace(PAGE, fetched_at=now - age),))
            for article_id, age in ((old, 3 * HOUR), (new, HOUR))
        ]
        articles.save_fetched(engine, claimed(engine, "fetch"), kept)
        change(engine, Article, stage="done")
        assert articles.reprocess(engine, since=2 * HOUR) == [new]
        assert articles.reprocess(engine, since=4 * HOUR) == [old]

    def test_it_joins_its_own_story_again_and_alerts_nobody(self, engine: Engine) -> None:
        (article_id,) = self.done(engine)
        change(engine, Article, stage="publish")
        subscribed = {"event_types": EVENT_TYPES}
        assert webhooks.add(engine, "desk", "https://d.example/", generate_secret(), **subscribed)
        (opened,) = stories.publish(engine, claimed(engine, "publish"))
        assert (opened.result, len(rows(engine, Event))) == ("opened", 1)

        assert articles.reprocess(engine, ids=[article_id]) == [article_id]
        now = row(engine, Article)["due_at"] + HOUR
        better = processed(
            article_id,
            article=replace(
                WEATHER, paragraphs=(TEXT.upper(),), canonical_url="https://example.org/new"
            ),
            next_stage="publish",
        )
        articles.save_processed(engine, claimed(engine, "process", now), [better])
        (joined,) = stories.publish(engine, claimed(engine, "publish", now))
        assert (joined.result, joined.story_id) == ("joined", opened.story_id)
        assert (len(rows(engine, Event)), len(rows(engine, Delivery))) == (1, 1)
        (story,) = rows(engine, Story)
        assert story["article_count"] == 1
        assert row(engine, Article)["stage"] == "done"
        assert row(engine, Article)["text"] == TEXT.upper()


class TestTranslate:
    def test_texts_of_a_row(self, engine: Engine) -> None:
        article_id = add_article(engine, "translate", title=None, summary="S", language="id")
        texts = articles.to_translate(claimed(engine, "translate").rows[0])
        assert (texts.article_id, texts.language) == (article_id, "id")
        assert (texts.title, texts.summary) == ("", "S")

    def test_translations_are_kept_with_who_made_them(self, engine: Engine) -> None:
        article_id = add_article(engine, "translate")
        pair = (
            Translation("Judul", "opus", "en-id", ("short",)),
            Translation("Ringkasan", "opus", "en-id", ("numbers", "short")),
        )
        outcome = TranslateOutcome(article_id, "translated", {"id": pair})
        articles.save_translated(engine, claimed(engine, "translate"), [outcome])
        article = row(engine, Article)
        assert (article["stage"], article["translation_status"]) == ("publish", "translated")
        assert article["translations"] == {
            "id": {
                "title": "Judul",
                "summary": "Ringkasan",
                "engine": "opus",
                "model": "en-id",
                "quality": ["numbers", "short"],
            }
        }
        assert article["degradations"] == []

    def test_an_article_that_stays_as_it_is_says_so(self, engine: Engine) -> None:
        article_id = add_article(engine, "translate")
        outcome = TranslateOutcome(
            article_id, "untranslated", {"id": None}, Reason.NO_ENGINE, "en to id"
        )
        articles.save_translated(engine, claimed(engine, "translate"), [outcome])
        article = row(engine, Article)
        assert (article["stage"], article["translation_status"]) == ("publish", "untranslated")
        assert (article["translations"], article["translation_reason"]) == (
            {"id": None},
            "no_engine",
        )
        assert article["degradations"] == [
            {"stage": "translate", "reason": "no_engine", "detail": "en to id"}
        ]
        assert steps(article) == [("translate", "untranslated")]

    def test_a_late_outcome_changes_nothing(self, engine: Engine) -> None:
        article_id = add_article(engine, "translate")
        late = claimed(engine, "translate")
        claimed(engine, "translate", NOON + HOUR)
        before = row(engine, Article)
        outcome = TranslateOutcome(article_id, "translated", {})
        articles.save_translated(engine, late, [outcome])
        assert row(engine, Article) == before


def test_history_grows_through_the_stages(engine: Engine) -> None:
    article_id = add_article(engine, "fetch")
    articles.save_fetched(engine, claimed(engine, "fetch"), [fetched(article_id)])
    articles.save_processed(engine, claimed(engine, "process"), [processed(article_id)])
    outcome = TranslateOutcome(article_id, "translated", {})
    articles.save_translated(engine, claimed(engine, "translate"), [outcome])
    assert steps(row(engine, Article)) == [
        ("fetch", "fetched"),
        ("process", "processed"),
        ("translate", "translated"),
    ]


def test_a_template_that_names_the_front_page_names_no_article(engine: Engine) -> None:
    article_id = add_article(engine, "process", url="https://example.org/news/1")
    bare = CleanArticle("Title", TEXT, canonical_url="https://example.org/")
    batch = claimed(engine, "process")
    articles.save_processed(engine, batch, [processed(article_id, article=bare)])
    assert row(engine, Article)["canonical_url"] == "https://example.org/news/1"
