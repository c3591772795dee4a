"""Pages that are no article, and articles that only look like one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import Page
from worker.articles.blocked import judge, judge_answer
from worker.reasons import Reason

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
URL = "https://lembah.example/berita/jembatan"
SENTENCE = "Jembatan lama di tepi kota Lembah dibuka lagi pada Selasa pagi setelah tiga bulan. "
STUB = SENTENCE * 3
LONG = "\n\n".join([SENTENCE * 3] * 7)
MENU = "".join(
    f"<li><a href='/rubrik/{n}'>Rubrik nomor {n} dan lain-lain</a></li>" for n in range(99)
)


def judged(
    body: str, text: str = "", *, title: str = "Jembatan", head: str = "", url: str = URL
) -> Reason | None:
    html = f"<html><head><title>{title}</title>{head}</head><body>{body}</body></html>"
    found = judge(Page(url, html.encode(), None, NOW), text)
    assert found is None or found.detail
    return found.reason if found else None


def paragraphs(text: str) -> str:
    return "".join(f"<p>{line}</p>" for line in text.split("\n\n"))


class TestBotChecks:
    @pytest.mark.parametrize(
        "title",
        ["Just a moment...", "Attention Required! | Cloudflare", "Access Denied", "Robot Check",
         "Access to this page has been denied.", "Pardon Our Interruption", "Are you a robot?",
         "Nur einen Moment…"],
    )  # fmt: skip
    def test_by_their_title(self, title: str) -> None:
        assert judged("<p>Please wait.</p>", title=title) is Reason.BOT_CHECK

    @pytest.mark.parametrize(
        "words",
        ["Please enable cookies.", "Enable JavaScript and cookies to continue",
         "Verify you are human by completing the action below.",
         "We have detected unusual traffic from your network.",
         "You don't have permission to access this server. Reference #18.2d351ab8.16375",
         "Pastikan bahwa Anda bukan robot", "Bitte bestätigen Sie, dass Sie ein Mensch sind",
         "Подтвердите, что вы не робот"],
    )  # fmt: skip
    def test_by_what_they_say(self, words: str) -> None:
        assert judged(f"<h1>lembah.example</h1><p>{words}</p>", words) is Reason.BOT_CHECK

    def test_by_their_scripts(self) -> None:
        script = "<script>window._cf_chl_opt={cvId:'3'};</script>"
        assert judged(f"<div></div>{script}") is Reason.BOT_CHECK
        pixel = '<iframe src="https://geo.captcha-delivery.com/captcha/?x"></iframe>'
        assert judged(pixel) is Reason.BOT_CHECK

    def test_an_article_about_captchas(self) -> None:
        text = LONG.replace("Jembatan lama", "“Verify you are human”, please enable cookies: ini")
        assert judged(paragraphs(text), text, title="Just a moment") is None

    def test_a_short_one_too(self) -> None:
        text = f"{STUB}\n\nSitus itu menulis “Are you a robot?” kepada setiap pengunjung."
        assert judged(f"<ul>{MENU}</ul>{paragraphs(text)}", text) is None

    def test_an_article_on_a_site_that_is_guarded(self) -> None:
        script = '<script src="/cdn-cgi/challenge-platform/scripts/jsd/main.js"></script>'
        assert judged(paragraphs(STUB) + script, STUB) is None


class TestConsent:
    @pytest.mark.parametrize(
        "url",
        ["https://consent.lembah.example/?continue=x", "https://lembah.example/zustimmung?u=x"],
    )
    def test_by_where_it_stands(self, url: str) -> None:
        assert judged("<p>Mit Werbung weiterlesen</p>", url=url) is Reason.CONSENT_WALL

    @pytest.mark.parametrize(
        "title", ["Before you continue", "Bevor Sie fortfahren", "Cookie Wall"]
    )
    def test_by_its_title(self, title: str) -> None:
        assert judged("<p>…</p>", title=title) is Reason.CONSENT_WALL

    @pytest.mark.parametrize(
        "text",
        [
            "We and our 842 partners store cookies. Accept all to consent to tracking.",
            "Unsere Partner verwenden Cookies für Tracking und personalisierte Werbung.",
            "Kami dan mitra kami memakai cookie. Terima semua untuk memberi persetujuan.",
        ],
    )
    def test_by_what_it_speaks_of(self, text: str) -> None:
        assert judged(paragraphs(text), text) is Reason.CONSENT_WALL

    def test_a_banner_below_an_article(self) -> None:
        banner = "<div>We and our partners use cookies for tracking. Accept all. Consent.</div>"
        assert judged(paragraphs(STUB * 3) + banner, STUB * 3) is None
        video = f"<ul>{MENU}</ul>{banner}"
        assert judged(video, "") is None


class TestPaid:
    NOT_FREE = '<script type="application/ld+json">{"isAccessibleForFree": "False"}</script>'

    def test_a_stub_that_is_declared_to_be_one(self) -> None:
        assert judged(paragraphs(STUB), STUB, head=self.NOT_FREE) is Reason.PAYWALLED
        cut = f"{STUB * 3}Warga pun mulai …"
        assert judged(paragraphs(cut), cut, head=self.NOT_FREE) is Reason.PAYWALLED

    def test_a_beginning_of_so_many_words(self) -> None:
        text = STUB * 2 + "Selesai."
        count = self.NOT_FREE.replace("{", '{"wordCount": "900", ')
        assert judged(paragraphs(text), text, head=count) is Reason.PAYWALLED
        whole = self.NOT_FREE.replace("{", '{"wordCount": 90, ')
        assert judged(paragraphs(text), text, head=whole) is None

    @pytest.mark.parametrize(
        "words",
        ["Subscribe to continue reading", "Sudah berlangganan? Masuk", "Khusus pelanggan",
         "Berlangganan untuk membaca", "Il vous reste 82% de cet article à lire",
         "Contenido exclusivo para suscriptores", "有料会員限定", "残り812文字",
         "Weiterlesen mit Plus"],
    )  # fmt: skip
    def test_by_what_it_says(self, words: str) -> None:
        wall = f'<div class="paywall"><p>{words}</p></div>'
        assert judged(paragraphs(STUB) + wall, STUB) is Reason.PAYWALLED

    def test_a_site_that_shows_the_whole_text(self) -> None:
        wall = '<div class="paywall">Already a subscriber? Sign in</div>'
        assert judged(paragraphs(LONG) + wall, LONG, head=self.NOT_FREE) is None

    def test_a_shop_for_subscriptions_beside_a_short_article(self) -> None:
        assert judged(paragraphs(STUB) + "<p>Sudah berlangganan koran kami?</p>", STUB) is None

    def test_the_status(self) -> None:
        found = judge_answer(402, b"")
        assert found is not None
        assert found.reason is Reason.PAYWALLED


class TestOthers:
    def test_a_login(self) -> None:
        form = '<form><input name="u"><input type="password" name="p"></form>'
        assert judged(form, title="Masuk - Lembah") is Reason.LOGIN_REQUIRED
        assert judged(form, url="https://lembah.example/login?next=/a") is Reason.LOGIN_REQUIRED
        assert judged(f"<ul>{MENU}</ul>{paragraphs(LONG)}{form}", LONG) is None
        assert judged(paragraphs(STUB * 2) + form, STUB * 2) is None

    @pytest.mark.parametrize(
        "body",
        [
            "<noscript>You need to enable JavaScript to run this.</noscript><div id=root></div>",
            "<noscript>Silakan aktifkan JavaScript di peramban Anda.</noscript>",
            '<div id="__next"></div><script src="/app.js"></script>',
            "<app-root></app-root><script src=/main.js></script>",
        ],
    )
    def test_a_shell(self, body: str) -> None:
        assert judged(body) is Reason.NEEDS_JAVASCRIPT

    def test_an_article_of_one_sentence_is_no_shell(self) -> None:
        comments = "<noscript>Please enable JavaScript to view the comments.</noscript>"
        assert judged(paragraphs(SENTENCE) + '<div id="ad"></div>' + comments, SENTENCE) is None

    @pytest.mark.parametrize(
        "title",
        ["404 - Lembah", "Halaman tidak ditemukan", "Page not found", "Seite nicht gefunden"],
    )
    def test_one_that_is_lost(self, title: str) -> None:
        assert judged("<p>Maaf.</p>", "Maaf.", title=title) is Reason.NOT_FOUND
        assert judged(paragraphs(LONG), LONG, title=title) is None


class TestLists:
    @staticmethod
    def teasers(number: int) -> str:
        return "".join(
            f"<div><h3 class=t><a href='/a/{n}'>Judul berita yang nomor {n} itu</a></h3>"
            f"<p>Ringkasan dari berita nomor {n} yang ada di dalam daftar.</p></div>"
            for n in range(number)
        )

    @staticmethod
    def lines(number: int) -> str:
        return "\n\n".join(
            f"Ringkasan dari berita nomor {n} yang ada di dalam daftar." for n in range(number)
        )

    def test_headlines_and_what_stands_below_them(self) -> None:
        assert judged(self.teasers(20), self.lines(20)) is Reason.NOT_AN_ARTICLE
        headlines = "\n\n".join(f"Judul berita yang nomor {n} itu" for n in range(20))
        assert judged(self.teasers(20), headlines) is Reason.NOT_AN_ARTICLE
        assert judged(self.teasers(20), "") is Reason.NOT_AN_ARTICLE

    def test_an_article_with_such_a_list_beside_it(self) -> None:
        assert judged(paragraphs(LONG) + self.teasers(40), LONG) is None
        assert judged(paragraphs(STUB) + self.teasers(40), STUB) is None
        mixed = f"{LONG}\n\n{self.lines(6)}"
        assert judged(paragraphs(LONG) + self.teasers(40), mixed) is None

    def test_an_article_says_that_it_is_one(self) -> None:
        head = '<meta property="og:type" content="article">'
        assert judged(self.teasers(20), self.lines(20), head=head) is None

    @pytest.mark.parametrize("path", ["", "/", "/index.html", "/id/"])
    def test_a_front_page(self, path: str) -> None:
        url = f"https://lembah.example{path}"
        assert judged(paragraphs(LONG), LONG, url=url) is Reason.NOT_AN_ARTICLE
        head = '<meta property="og:type" content="article">'
        assert judged(paragraphs(LONG), LONG, url=url, head=head) is None

    def test_a_page_of_no_address(self) -> None:
        assert judged(paragraphs(LONG), LONG, url="") is None


class TestAnswers:
    @pytest.mark.parametrize(
        "body",
        [b"<title>Just a moment...</title>", b"<script>window._cf_chl_opt={}</script>",
         b"<title>Access Denied</title>"],
    )  # fmt: skip
    @pytest.mark.parametrize("status", [403, 429, 503])
    def test_a_check(self, status: int, body: bytes) -> None:
        found = judge_answer(status, body)
        assert found is not None
        assert found.reason is Reason.BOT_CHECK
        assert str(status) in found.detail

    @pytest.mark.parametrize(
        "body", [b"", b"<title>403 Forbidden</title>", b"<title>Not Found</title>", b"\0\xff" * 99]
    )
    def test_just_an_error(self, body: bytes) -> None:
        assert judge_answer(403, body) is None


@given(
    st.text(alphabet='<>/titledvscrp="h2 apCookie404{}\n', max_size=400), st.text(max_size=200)
)  # fmt: skip
def test_whatever_a_page_holds(body: str, text: str) -> None:
    judged(body, text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    ["<script>", "<!--", "<h2><a href=x>", "<h2 ", "<title ", "<input type=", "<div id=root ",
     "<p>x", 'isAccessibleForFree"   :', "og:type   ", "please enable ", "itemtype=", "<", "\n "],
)  # fmt: skip
def test_no_page_takes_for_ever(unit: str) -> None:
    judged(unit * (2_000_000 // len(unit)))
    judged(unit * (2_000_000 // len(unit)), unit * 100)
