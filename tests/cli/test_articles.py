"""`kabar articles`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.cli.rows import publish
from tests.cli.running import Commands
from tests.store.rows import HOUR, NOON, add_article, change, claimed, row
from worker.articles import FetchOutcome, Page
from worker.reasons import Reason
from worker.store import articles, stories
from worker.store.articles import step
from worker.store.models import Article
from worker.store.sessions import read_now, reading
from worker.stories import url_key

URL = "https://example.org/berita/harga-cabai"


def test_the_newest_come_first(kabar: Commands, either_store: Engine) -> None:
    first = publish(either_store, title="One", language="id")
    add_article(either_store, "fetch", title=None)
    newest, oldest = kabar("articles", "list", "--json").json
    assert (oldest["title"], oldest["story_id"], oldest["stage"]) == ("One", first, "done")
    assert (newest["title"], newest["feed_title"], newest["story_id"]) == (None, "Said", None)
    assert newest["first_seen_at"] == "2026-03-04T12:00:00+00:00"
    assert len(kabar("articles", "list", "--json", "--limit", "1").json) == 1

    _, fetched, done = kabar("articles", "list").out.splitlines()
    assert fetched.split()[3:] == ["fetch", "en", "Said"]
    assert done.split()[3:] == ["done", "id", str(first), "One"]


def test_those_of_a_stage(kabar: Commands, either_store: Engine) -> None:
    add_article(either_store, "fetch")
    wanted = add_article(either_store, "failed", reason="crashed")
    (listed,) = kabar("articles", "list", "--stage", "failed", "--json").json
    assert (listed["id"], listed["reason"]) == (wanted, "crashed")


def test_a_stage_that_there_is_not(kabar: Commands, store: Engine) -> None:
    done = kabar("articles", "list", "--stage", "fech")
    assert done.code == 2
    assert "'fech' is not one of 'fetch', 'process', " in done.error


def test_none_yet(kabar: Commands, store: Engine) -> None:
    assert "`kabar feeds list`" in kabar("articles", "list").out
    assert kabar("articles", "list", "--json").json == []


def test_an_article_is_shown(kabar: Commands, either_store: Engine) -> None:
    number = add_article(
        either_store, "done", url=URL, url_key=url_key(URL), title="Harga cabai", authors=["Siti"],
        publisher="The Ledger", published_at=NOON, language="id", summary="Naik.",
        text="Satu.\n\nDua.\x1b[2J", translations={"en": {"title": "Chili"}},
        lead="Lagi naik.", editor="Budi", credited_sources=["Antara", "AFP"], dateline="JAKARTA",
        section="Ekonomi", tags=["cabai", "harga"], modified_at=NOON,
    )  # fmt: skip
    out = kabar("articles", "show", str(number)).out
    at = NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    for line in (
        f"article    {number}  {URL}", "authors    Siti", f"published  {at}", f"modified   {at}",
        "lead       Lagi naik.", "editor     Budi", "credited   Antara, AFP",
        "dateline   JAKARTA", "section    Ekonomi", "tags       cabai, harga",
    ):  # fmt: skip
        assert f"{line}\n" in out
    assert out.endswith("\n\nSatu.\n\nDua. [2J\n")

    document = kabar("articles", "show", str(number), "--json").json
    assert (document["text"], document["authors"]) == ("Satu.\n\nDua.\x1b[2J", ["Siti"])
    assert document["translations"] == {"en": {"title": "Chili"}}
    assert (document["section"], document["tags"]) == ("Ekonomi", ["cabai", "harga"])
    assert document["published_at"] == "2026-03-04T12:00:00+00:00"
    assert not {"lease_token", "url_key", "feed_entry"} & set(document)


def test_an_article_without_anything(kabar: Commands, store: Engine) -> None:
    number = add_article(store, "fetch", url=None, title=None, language=None)
    out = kabar("articles", "show", str(number)).out
    assert out == f"article  {number}  (no link)\ntitle    Said\n\n(no text)\n"


@pytest.mark.parametrize(
    "spelling",
    [
        URL,
        f"{URL}/?utm_source=rss#top",
        "http://www.example.org/berita/harga-cabai",
        f"  {URL} ",
        "https://example.org/berita/harga-cabai/amp",
    ],
)
def test_an_article_by_its_url(kabar: Commands, either_store: Engine, spelling: str) -> None:
    add_article(either_store, "done")
    number = add_article(either_store, "done", url=URL, url_key=url_key(URL))
    for verb in ("show", "explain"):
        assert kabar("articles", verb, spelling, "--json").json["id"] == number


def test_an_article_by_the_url_that_its_alert_names(kabar: Commands, either_store: Engine) -> None:
    """That is the page's own, which may be another than the feed's."""
    number = add_article(either_store, "done", canonical_url=URL, canonical_key=url_key(URL))
    add_article(either_store, "done", canonical_url=URL, canonical_key=url_key(URL))
    assert kabar("articles", "show", URL, "--json").json["id"] == number


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("https://example.org/berita/harga-cabe", f"; did you mean {URL}?"),
        ("99", ": `kabar articles list` shows what there is"),
        (str(2**63), ": `kabar articles list` shows what there is"),
        ("https://[::1", ": `kabar articles list` shows what there is"),
    ],
)
def test_an_article_that_is_not_there(
    kabar: Commands, either_store: Engine, asked: str, hint: str
) -> None:
    add_article(either_store, "done", url=URL, url_key=url_key(URL))
    add_article(either_store, "done", url=None)
    for verb in ("show", "explain"):
        done = kabar("articles", verb, asked)
        assert (done.code, done.error) == (1, f"kabar: there is no article {asked}{hint}")


class TestExplain:
    def explained(self, kabar: Commands) -> str:
        """The last line of what is said of an article: how it stands."""
        return kabar("articles", "explain", "1").out.splitlines()[-1].strip()

    def test_what_came_of_it_in_each_stage(self, kabar: Commands, store: Engine) -> None:
        history = [
            step("poll", NOON, 1, "listed"),
            step("fetch", NOON + HOUR, 2, "degraded", Reason.GONE, "410 Gone"),
        ]
        degradation = {"stage": "fetch", "reason": "gone"}
        add_article(store, "process", url=URL, history=history, degradations=[degradation])
        lines = kabar("articles", "explain", "1").out.splitlines()
        assert lines == [
            f"article 1  {URL}",
            f"  {shown(NOON)}  poll       listed",
            f"  {shown(NOON + HOUR)}  fetch      degraded at try 2: gone (410 Gone)",
            f"  waits for process, due {shown(NOON)}",
        ]
        document = kabar("articles", "explain", "1", "--json").json
        assert list(document) == [
            "id", "url", "stage", "due_at", "attempts", "reason", "translation_status",
            "translation_reason", "translate_by", "degradations", "history",
        ]  # fmt: skip
        assert document["degradations"] == [degradation]
        assert document["history"] == history

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "publish"])
    def test_one_that_waits(self, kabar: Commands, store: Engine, stage: str) -> None:
        add_article(store, stage)
        assert self.explained(kabar) == f"waits for {stage}, due {shown(NOON)}"

    @pytest.mark.parametrize("stage", ["fetch", "process", "translate", "publish"])
    def test_one_in_work(self, kabar: Commands, store: Engine, stage: Any) -> None:
        add_article(store, stage)
        claimed(store, stage, datetime.now(UTC))
        assert self.explained(kabar) == f"now in work in {stage}, try 1"

    def test_one_whose_process_died(self, kabar: Commands, store: Engine) -> None:
        add_article(store, "fetch")
        claimed(store, "fetch")
        lost = shown(NOON + timedelta(seconds=60))
        assert self.explained(kabar) == (
            f"waits for fetch: try 1 was lost with its process at {lost}"
        )

    def test_one_that_waits_for_its_translation_only_so_long(
        self, kabar: Commands, store: Engine
    ) -> None:
        add_article(store, "translate", translate_by=NOON + HOUR)
        assert self.explained(kabar) == (
            f"waits for translate, due {shown(NOON)}; published by {shown(NOON + HOUR)} anyway"
        )

    def test_one_that_is_untranslated(self, kabar: Commands, store: Engine) -> None:
        story = publish(store, translation_reason="no_engine")
        assert self.explained(kabar) == (
            f"done: it is in story {story}, untranslated: "
            "no translation engine is set up for this language pair"
        )

    def test_one_that_is_done(self, kabar: Commands, store: Engine) -> None:
        story = publish(store)
        assert self.explained(kabar) == f"done: it is in story {story}"
        assert f"{shown(NOON)}  publish    opened\n" in kabar("articles", "explain", "1").out

    def test_one_that_failed(self, kabar: Commands, store: Engine) -> None:
        add_article(store, "publish", expiries=3)
        stories.publish(store, claimed(store, "publish"))
        assert self.explained(kabar) == "failed for good: crashed"

    def test_the_zone_of_the_settings(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_article(store, "fetch")
        monkeypatch.setenv("KABAR_DISPLAY__TIMEZONE", "Asia/Jakarta")
        assert self.explained(kabar) == "waits for fetch, due 2026-03-04 19:00:00"
        document = kabar("articles", "explain", "1", "--json").json
        assert document["due_at"] == "2026-03-04T12:00:00+00:00"


class TestReprocess:
    @pytest.fixture
    def done(self, either_store: Engine) -> int:
        """An article that is done, with its page kept."""
        number = add_article(either_store, "fetch", url=URL, url_key=url_key(URL))
        with reading(either_store) as connection:
            now = read_now(connection)
        page = Page(URL, b"<p>As it came.</p>", None, now - timedelta(hours=5))
        outcome = FetchOutcome(number, "fetched", now, (page,))
        articles.save_fetched(either_store, claimed(either_store, "fetch"), [outcome])
        change(either_store, Article, stage="done")
        return number

    @pytest.mark.parametrize("which", [[URL], ["--since", "6h"], ["--since", "2d", URL]])
    def test_a_done_article(
        self, kabar: Commands, either_store: Engine, done: int, which: list[str]
    ) -> None:
        assert kabar("articles", "reprocess", *which).out == "1 article will be cleaned again\n"
        assert row(either_store, Article)["stage"] == "process"
        again = kabar("articles", "reprocess", *which, "--json").json
        assert again == {"articles": [], "skipped": [done] if URL in which else []}

    @pytest.mark.parametrize("which", [["--since", "4h"], ["--since", "10m"]])
    def test_one_that_is_older(
        self, kabar: Commands, either_store: Engine, done: int, which: list[str]
    ) -> None:
        assert kabar("articles", "reprocess", *which).out == "0 articles will be cleaned again\n"
        out = kabar("articles", "reprocess", *which, str(done)).out
        assert out.splitlines()[1].startswith(f"article {done} is left as it is: ")
        assert row(either_store, Article)["stage"] == "done"

    @pytest.mark.parametrize("age", ["2", "d", "-1d", "2 weeks", "99999d", ""])
    def test_an_age_that_is_none(self, kabar: Commands, store: Engine, age: str) -> None:
        done = kabar("articles", "reprocess", "--since", age)
        assert done.error == f"kabar: --since {age}: 2d, 12h or 30m was expected"

    def test_all_of_them_are_to_be_asked_for(self, kabar: Commands, store: Engine) -> None:
        error = kabar("articles", "reprocess").error
        assert error == "kabar: which articles? name some, or give --since 2d"

    def test_one_that_is_not_there(self, kabar: Commands, store: Engine) -> None:
        assert "there is no article 99" in kabar("articles", "reprocess", "99").error


def shown(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
