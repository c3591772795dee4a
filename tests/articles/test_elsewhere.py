"""Pages that only lead to the article."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import Page, elsewhere

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
URL = "https://lembah.example/berita/jembatan"
AMP = "https://lembah.example/amp/berita/jembatan"
PROSE = "<p>Orang-orang di tepi sungai itu menunggu sampai air surut.</p>" * 20


def leads(html: str, url: str = AMP) -> str | None:
    return elsewhere(Page(url, html.encode(), None, NOW))


def refresh(content: str) -> str:
    return f'<head><meta http-equiv="Refresh" content="{content}"></head>'


class TestRefresh:
    @pytest.mark.parametrize(
        "content",
        ["0;url=/berita/jembatan", f"0; URL='{URL}'", f"5;{URL}", f" 1 ,url = {URL} ",
         "0.5;url=/berita/jembatan#top"],
    )  # fmt: skip
    def test_is_followed(self, content: str) -> None:
        assert leads(refresh(content)) == URL

    @pytest.mark.parametrize(
        "content",
        ["600", "600;url=/berita/jembatan", "30;url=/lain", "", ";", "0;url=", "0;url=mailto:a@b",
         f"0;url={AMP}", "0;url=http://[::1", "9" * 999],
    )  # fmt: skip
    def test_is_none(self, content: str) -> None:
        assert leads(refresh(content)) is None

    def test_for_browsers_without_scripts_is_none(self) -> None:
        assert leads(f"<noscript>{refresh('0;url=/nojs')}</noscript>") is None

    def test_to_another_site(self) -> None:
        assert leads(refresh("0;url=https://other.example/a")) == "https://other.example/a"


class TestAmp:
    @pytest.mark.parametrize("html", ["<html amp>", "<html ⚡ lang=id>", "<html lang='id' amp=''>"])
    def test_leads_to_its_canonical(self, html: str) -> None:
        assert leads(f'{html}<link rel="canonical" href="{URL}">{PROSE}') == URL
        www = "https://www.lembah.example/berita/jembatan"
        assert leads(f'{html}<link rel=canonical href="{www}">{PROSE}') == www
        host = "https://amp.lembah.example/berita/jembatan"
        assert leads(f'{html}<link rel="canonical" href="{URL}">{PROSE}', host) == URL

    @pytest.mark.parametrize(
        "href", ["https://other.example/berita/jembatan", "/", AMP, "", "http://[::1", "mailto:a"]
    )
    def test_not_to_another_site_or_nowhere(self, href: str) -> None:
        assert leads(f'<html amp><link rel="canonical" href="{href}">{PROSE}') is None


ESCAPED = URL.replace("/", "\\/")


class TestWrappers:
    HTML = f'<html><link rel="canonical" href="{URL}"><body>Redirecting …</body></html>'

    def test_a_page_without_words_of_another_site(self) -> None:
        assert leads(self.HTML, "https://aggregator.example/a/1") == URL

    @pytest.mark.parametrize(
        "html",
        [
            f"<head><noscript>{refresh(f'0;URL={URL}')}</noscript><title>{URL}</title></head>",
            f'<script>opener = null; location.replace("{ESCAPED}")</script>',
            f"<title>…</title><script>window.location.href = '{URL}';</script><p>One moment.</p>",
            f'<body onload="x()"><script>top.location="{URL}"</script></body>',
        ],
        ids=["for want of scripts", "a script", "its href", "on top"],
    )
    def test_what_sends_browsers_on(self, html: str) -> None:
        assert leads(html, "https://t.example/Ab12") == URL
        assert leads(html, "https://www.lembah.example/r/12") is None, "its own site's matter"
        assert leads(html + PROSE, "https://t.example/Ab12") is None, "an article of its own"
        shell = f"{html}<script>{'x();' * 2_000}</script>"
        assert leads(shell, "https://t.example/Ab12") is None, "it moves on at a click"

    @pytest.mark.parametrize(
        "script",
        ["location.reload()", "location = '/login'", "if (location == 'https://x.example/a') y()",
         "location.replace(next)", "mylocation = 'https://x.example/a'", "location='javascript:x'"],
    )  # fmt: skip
    def test_other_scripts_do_not(self, script: str) -> None:
        assert leads(f"<script>{script}</script>", "https://t.example/Ab12") is None

    def test_an_article_stays_where_it_is(self) -> None:
        assert leads(self.HTML, "https://lembah.example/?p=7") is None
        syndicated = f'<html><link rel="canonical" href="{URL}"><body>{PROSE}</body></html>'
        assert leads(syndicated, "https://aggregator.example/a/1") is None


@given(
    st.text(alphabet="<>meta http-equiv=refresh content='0;url=/x' noscript html ⚡", max_size=300)
)
def test_whatever_a_page_holds(html: str) -> None:
    url = leads(html)
    assert url is None or url.startswith(("https://", "http://"))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    [
        "<meta ",
        "<link ",
        "<noscript>",
        " a=",
        ' a="',
        "<html ",
        "<meta content=';url = '>",
        "location.href",
        "location = ",
        "<noscript>location='https:",
    ],
)
def test_no_page_takes_for_ever(unit: str) -> None:
    leads(unit * (2_000_000 // len(unit)))
    leads(refresh(unit * 500))
