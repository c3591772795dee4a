"""Charsets told: by the bytes first, then by header and declaration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.feeds.charset import to_utf8

TEXT = "“Café” — naïve Čeština Привет 日本語"
JAPANESE = "日本語のニュース、東京"


def declared(charset: str, text: str) -> str:
    return f'<?xml version="1.0" encoding="{charset}"?><rss>{text}</rss>'


@pytest.mark.parametrize(
    "label", ["iso-8859-1", "us-ascii", "windows-1251", "utf-16", "unheard-of"]
)
def test_valid_utf8_is_utf8_whatever_the_labels_say(label: str) -> None:
    body = declared(label, TEXT).encode()
    assert to_utf8(body, f"text/xml; charset={label}") == body
    assert to_utf8(b"\xef\xbb\xbf" + body, "text/xml") == body


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_ones_show_in_the_first_bytes(charset: str) -> None:
    text = declared("utf-8", TEXT)
    assert to_utf8(text.encode(charset), "text/xml; charset=utf-8").decode() == text


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("windows-1252", "“Café” – naïve"),
        ("windows-1251", "Привет, мир"),
        ("koi8-r", "Привет, мир"),
        ("iso-8859-2", "Příliš žluťoučký"),
        ("shift_jis", JAPANESE),
        ("euc-jp", JAPANESE),
        ("iso-2022-jp", JAPANESE),
        ("gb2312", "中国新闻"),
        ("big5", "台灣新聞"),
        ("euc-kr", "한국 뉴스"),
        ("tis-620", "ข่าวไทย"),
    ],
)
def test_header_or_declaration(charset: str, text: str) -> None:
    body = f"<rss>{text}</rss>".encode(charset)
    assert to_utf8(body, f'text/xml; Charset="{charset}"').decode() == f"<rss>{text}</rss>"
    body = declared(charset, text).encode(charset)
    for content_type in ("", "text/xml", "text/xml; charset=utf-8", "text/xml; charset=nonsense"):
        assert to_utf8(body, content_type).decode() == declared(charset, text)


def test_the_header_goes_before_the_declaration() -> None:
    body = declared("windows-1251", "Привет").encode("koi8-r")
    assert to_utf8(body, "text/xml; charset=koi8-r").decode() == declared("windows-1251", "Привет")


def test_unless_it_cannot_be() -> None:
    text = declared("windows-1251", "Привет, мир")
    assert to_utf8(text.encode("windows-1251"), "text/xml; charset=euc-jp").decode() == text


def test_superset_of_what_is_declared() -> None:
    body = declared("iso-8859-1", "“Café”").encode("windows-1252")
    assert to_utf8(body, "").decode() == declared("iso-8859-1", "“Café”")


@pytest.mark.parametrize("label", ["utf-8", "iso-8859-1"])
def test_one_character_that_was_cut_does_not_spoil_the_others(label: str) -> None:
    body = declared(label, TEXT).encode() + "é".encode()[:1] + b"</rss>"
    assert to_utf8(body, "").decode() == declared(label, TEXT) + "\ufffd</rss>"


@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda text, charset: text.encode(charset, "replace"),
            st.text(max_size=30),
            st.sampled_from(["utf-8", "utf-16", "utf-32", "cp1252", "shift_jis", "gb18030"]),
        ),
    ),
    st.one_of(
        st.text(max_size=30),
        st.builds(
            "text/xml; charset={}".format,
            st.one_of(
                st.text(max_size=10),
                st.sampled_from(["undefined", "hex", "rot13", "punycode", "idna", "a\0b", "utf-7",
                                 "unicode_escape", "raw_unicode_escape", "utf-16", "mbcs"]),
            ),
        ),
    ),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_any_bytes_become_valid_utf8(body: bytes, content_type: str) -> None:
    assert isinstance(to_utf8(body, content_type).decode(), str)
