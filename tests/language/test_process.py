"""Processing: from the page where it gives an article, from what the feed said where not."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.conftest import MakeSettings
from worker import language
from worker.articles import Page
from worker.language import FeedText, ProcessOutcome, Source, crashed, process
from worker.reasons import Reason
from worker.settings import Settings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
AT = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parents[1] / "data" / "articles"
URL = "https://lembah.example/berita/jembatan"
PAGE = Page(
    URL, (DATA / "sungai.html").read_text("utf-8").replace("CHARSET", "utf-8").encode(), None, NOW
)
SHELL = Page(URL, (DATA / "javascript.html").read_bytes(), None, NOW)
SUMMARY = "<p>Jembatan lama dibuka lagi pada Selasa pagi.</p> <p>Warga senang &amp; menari.</p>"
CONTENT = f"{SUMMARY}<p>Anak-anak berlari lebih dulu.</p>"


def source(
    pages: Sequence[Page] = (),
    *,
    title: str = "Jembatan lama dibuka lagi",
    summary: str = SUMMARY,
    content: str = "",
    declared: str | None = "id",
    published_at: datetime | None = None,
) -> Source:
    feed = FeedText(title, summary, content, ("Rani",), "Kabar Lembah (RSS)", declared)
    return Source(7, URL, published_at, feed, pages)


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


class TestFromThePage:
    def test_is_the_article(self, settings: Settings) -> None:
        outcome = process(source([PAGE], summary="", content=CONTENT), settings)
        assert (outcome.article_id, outcome.reason, outcome.detail) == (7, None, "")
        assert outcome.article.text.startswith("Jembatan lama di tepi kota Lembah")
        assert outcome.article.publisher == "Kabar Lembah"
        assert outcome.language == "id"
        assert outcome.summary is not None
        assert outcome.summary.text.startswith("Jembatan lama di tepi kota Lembah")
        assert outcome.summary.method == "lead"
        assert (outcome.language, outcome.is_language_sure) == ("id", True)

    def test_what_the_feed_says_of_it_comes_first(self, settings: Settings) -> None:
        outcome = process(source([PAGE]), settings)
        assert outcome.summary is not None
        assert outcome.summary.method == "lead+publisher"
        assert outcome.summary.text.startswith(
            "Jembatan lama dibuka lagi pada Selasa pagi. Warga senang & menari. Jembatan lama di"
        )

    def test_the_feeds_title_goes_before_the_pages(self, settings: Settings) -> None:
        assert process(source([PAGE]), settings).article.title == "Jembatan lama dibuka lagi"
        untitled = process(source([PAGE], title=""), settings)
        assert untitled.article.title == "Warga Lembah “menari” di jembatan"

    def test_the_feeds_time_goes_before_the_pages(self, settings: Settings) -> None:
        assert process(source([PAGE]), settings).published_at == AT
        assert process(source([PAGE], published_at=NOW), settings).published_at == NOW


class TestToBePaidFor:
    SHOWN = "Jembatan lama di tepi kota dibuka lagi pada Selasa pagi setelah ditutup tiga bulan. "

    def told(self, settings: Settings, shown: int, said: int) -> ProcessOutcome:
        """Of an article whose page shows, and whose feed says, so many sentences."""
        head = '<script type="application/ld+json">{"isAccessibleForFree": false}</script>'
        html = f"<html lang=id>{head}<article><p>{self.SHOWN * shown}</p></article></html>"
        page = Page(URL, html.encode(), None, NOW)
        return process(source([page], summary="Warga menari. " * said), settings)

    @pytest.mark.parametrize(
        ("shown", "said", "starts"),
        [(3, 1, "Jembatan lama"), (3, 0, "Jembatan lama"), (2, 40, "Warga menari.")],
    )
    def test_the_longer_of_what_page_and_feed_say(
        self, settings: Settings, shown: int, said: int, starts: str
    ) -> None:
        outcome = self.told(settings, shown, said)
        assert outcome.reason is Reason.PAYWALLED
        assert outcome.article.text.startswith(starts)
        assert outcome.article.word_count > 20

    def test_a_wall_is_no_text_however_long(self, settings: Settings) -> None:
        wall = "<title>Just a moment...</title><p>" + "Checking your browser. " * 20
        outcome = process(source([Page(URL, wall.encode(), None, NOW)]), settings)
        assert outcome.reason is Reason.BOT_CHECK
        assert outcome.article.text.startswith("Jembatan lama dibuka lagi")


class TestFromTheFeed:
    def test_when_there_is_no_page(self, settings: Settings) -> None:
        outcome = process(source(content=CONTENT), settings)
        assert outcome.reason is None  # told by the stage that has it: fetch
        assert outcome.article.text == (
            "Jembatan lama dibuka lagi pada Selasa pagi.\n\nWarga senang & menari."
            "\n\nAnak-anak berlari lebih dulu."
        )
        assert outcome.article.title == "Jembatan lama dibuka lagi"
        assert (outcome.article.authors, outcome.article.publisher) == (
            ("Rani",),
            "Kabar Lembah (RSS)",
        )
        assert outcome.language == "id"
        assert outcome.summary is not None
        assert outcome.summary.text.endswith("Anak-anak berlari lebih dulu.")

    def test_when_the_page_gives_nothing(self, settings: Settings) -> None:
        outcome = process(source([SHELL]), settings)
        assert outcome.reason is Reason.NEEDS_JAVASCRIPT
        assert "enable JavaScript" in outcome.detail
        assert outcome.article.text == (
            "Jembatan lama dibuka lagi pada Selasa pagi.\n\nWarga senang & menari."
        )

    def test_when_nobody_says_anything(self, settings: Settings) -> None:
        outcome = process(source(summary=""), settings)
        assert (outcome.article.text, outcome.summary) == ("", None)
        assert outcome.article.title == "Jembatan lama dibuka lagi"
        assert outcome.language == "id"

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("", ""),
            (" \n ", ""),
            ("plain text", "plain text"),
            ("plain\ntext of\n\ntwo paragraphs", "plain text of\n\ntwo paragraphs"),
            ("fish &amp; chips, 5 < 6", "fish & chips, 5 < 6"),
            ("<p>one\n  two</p>", "one two"),
            ("before<p>inside</p>after", "before\n\ninside\n\nafter"),
            ("one<br>two<br/><br />three", "one\n\ntwo\n\nthree"),
            ("<h2>Head</h2>text", "Head\n\ntext"),
            ("<ul><li>one<li>two</ul>", "one\n\ntwo"),
            ("<blockquote>said</blockquote>told", "said\n\ntold"),
            ("a <b>bold</b> <a href='x'>link</a>.", "a bold link."),
            ("<p>&nbsp;x&nbsp;</p><p>&#8220;y&#8221;</p>", "x\n\n“y”"),
            ("<script>alert(1)</script><style>p{}</style><p>x</p>", "x"),
            ("<!-- hidden --><p>x</p><?php y ?>", "x"),
            ("<p>no\0thing</p>", "no\ufffdthing"),
            ("<html><body><p>whole</p></body></html>", "whole"),
        ],
    )
    def test_html_becomes_paragraphs(self, settings: Settings, html: str, text: str) -> None:
        assert process(source(summary=html), settings).article.text == text

    @pytest.mark.parametrize("html", ["<div>" * 20_000 + "deep", "<p>" * 50_000, "<" * 50_000])
    def test_depth(self, settings: Settings, html: str) -> None:
        outcome = process(source(summary=html), settings)
        assert outcome.article.title == "Jembatan lama dibuka lagi"


class TestLanguage:
    def test_in_doubt_is_that_of_the_host(self, settings: Settings) -> None:
        doubtful = source(title="Harga naik", summary="", declared=None)
        assert process(doubtful, settings).language is None
        known = replace(doubtful, languages={"id": 200})
        outcome = process(known, settings)
        assert (outcome.language, outcome.is_language_sure) == ("id", False)


class TestNextStage:
    @pytest.mark.parametrize(
        ("targets", "stage"),
        [
            (["en"], "translate"),
            (["id"], "publish"),
            (["id", "en"], "translate"),
            ([], "publish"),
            (["id-ID"], "publish"),
        ],
    )
    def test_is_by_language_and_targets(
        self, make_settings: MakeSettings, targets: list[str], stage: str
    ) -> None:
        outcome = process(source([PAGE]), make_settings(translate={"targets": targets}))
        assert (outcome.language, outcome.next_stage) == ("id", stage)

    def test_of_a_language_that_is_not_known(self, make_settings: MakeSettings) -> None:
        silent = source(title="2026", summary="3,5")
        for targets, stage in ((["en"], "translate"), ([], "publish")):
            outcome = process(silent, make_settings(translate={"targets": targets}))
            assert (outcome.language, outcome.next_stage) == (None, stage)


class TestCrashed:
    @pytest.mark.parametrize(("target", "stage"), [("en", "translate"), ("id", "publish")])
    def test_is_told_from_the_feed_untouched_by_parser_and_model(
        self, make_settings: MakeSettings, target: str, stage: str
    ) -> None:
        poisonous = source([PAGE], summary=f"{SUMMARY} &quot;{'kata ' * 500}")
        outcome = crashed(poisonous, make_settings(translate={"targets": [target]}))
        assert (outcome.next_stage, outcome.reason) == (stage, Reason.CRASHED)
        assert outcome.detail == Reason.CRASHED.text
        assert outcome.article.title == "Jembatan lama dibuka lagi"
        assert outcome.article.text.startswith(
            'Jembatan lama dibuka lagi pada Selasa pagi. Warga senang & menari. "kata'
        )
        assert len(outcome.article.text) <= 600
        assert outcome.summary is not None
        assert (outcome.summary.text, outcome.summary.method) == (outcome.article.text, "feed")
        assert outcome.language == "id"

    def test_needs_neither_extractor_nor_model(self) -> None:
        script = (
            "import sys; from worker.language import FeedText, Source, crashed\n"
            "from worker.settings import Settings\n"
            "text = FeedText('title', '<p>text', '', (), None, 'id')\n"
            "print(crashed(Source(7, None, None, text, ()), Settings()).article.text)\n"
            "print(*({'trafilatura', 'py3langid', 'numpy'} & sys.modules.keys()))"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
        assert done.stdout == "text\n\n"

    def test_without_a_summary_the_content_serves(self, make_settings: MakeSettings) -> None:
        outcome = crashed(source(summary="", content="<p>x</p>"), make_settings())
        assert outcome.article.text == "x"

    def test_without_any_text(self, make_settings: MakeSettings) -> None:
        outcome = crashed(source(summary=""), make_settings())
        assert (outcome.article.text, outcome.summary) == ("", None)


def test_models_are_loaded_at_once() -> None:
    language.load()


@hypothesis_settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<br", ">", "<", "&", "&#0;", "&#xD800;", "<!--", "]]>", "<script>",
             "kata", " ", "\n", "\0", "<?xml encoding='x'?>", "<svg/onload=x>", "\u2028", "é"]
        ),
        max_size=30,
    ).map("".join)
    | st.text(st.characters(exclude_categories=["Cs"]))
)  # fmt: skip
def test_whatever_the_feed_says_there_is_an_article(text: str) -> None:
    told = source(title=text, summary=text, content=text)
    settings = Settings.model_construct(**_DEFAULTS)
    for outcome in (process(told, settings), crashed(told, settings)):
        assert outcome.article.title == text
        outcome.article.text.encode()


_DEFAULTS = {name: field.get_default() for name, field in Settings.model_fields.items()}
