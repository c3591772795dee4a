"""Feeds as a file declares them."""

from pathlib import Path

import pytest

from worker.errors import KabarError
from worker.feeds import declared, options
from worker.feeds.declared import Declared

URL = "https://example.org/feed"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feeds.toml"


def test_all_that_can_be_said_of_a_feed(path: Path) -> None:
    path.write_text(
        f"""
        [[feeds]]
        url = "{URL}"
        title = "Berita"
        interval_seconds = 300
        tags = ["Asia/Indonesia", "ekonomi"]
        user_agent = "Siaran/1"
        cookie_file = "/run/secrets/cookie"
        username = "reader"
        password_env = "FEED_PASSWORD"
        proxy = "http://proxy:3128"
        timeout_seconds = 10
        verify_tls = false
        robots = false
        headers = {{ Accept-Language = "id" }}
        [feeds.headers_env]
        X-Key = "FEED_KEY"

        [[feeds]]
        url = "https://example.net/"
        """
    )
    berita, other = declared.read(path).feeds
    given = dict(berita.options)
    assert berita == Declared(URL, "Berita", 300, ("Asia/Indonesia", "ekonomi"), given)
    assert given == {
        "user_agent": "Siaran/1", "cookie_file": "/run/secrets/cookie", "username": "reader",
        "password_env": "FEED_PASSWORD", "proxy": "http://proxy:3128", "timeout_seconds": 10,
        "verify_tls": False, "robots": False, "headers": {"Accept-Language": "id"},
        "headers_env": {"X-Key": "FEED_KEY"},
    }  # fmt: skip
    options.check(given)
    assert other == Declared("https://example.net/", None, None, (), {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cokie = 'a'", "no such key 'cokie'"),
        ("tags = 'news'", "tags = 'news': a list of names"),
        ("tags = ['news', 5]", "tags: 5: a name was expected"),
        ("tags = [' / ']", "tags: ' / ': a name was expected"),
        ('tags = ["a\\u0007"]', "tags: 'a\\x07': a name was expected"),
        ('title = "a\\nb"', "title = 'a\\nb': a line of text"),
        ("interval_seconds = 0", "interval_seconds = 0"),
        ("cookie = 5", "cookie: a line of text"),
        ("headers = 'a'", "headers: a table"),
        ("timeout_seconds = 1e9", "timeout_seconds = 1000000000.0"),
        ("password_file = 'a'", "password_file: there is no username"),
    ],
)
def test_an_error_names_file_feed_and_key(path: Path, line: str, message: str) -> None:
    path.write_text(f'[[feeds]]\nurl = "https://user:pw@example.org/feed"\n{line}\n')
    with pytest.raises(KabarError) as raised:
        declared.read(path)
    assert str(raised.value).startswith(f"{path}: [[feeds]] {URL}: {message}")


@pytest.mark.parametrize(
    "text",
    [
        '[[feeds]]\nurl = "ftp://user:pw@example.org/"\n',
        '[[feeds]]\nurl = "https://user:pw@example.org/"\npassword = "pw"\n',
        '[[feeds]]\ntitle = "A"\ncookie = "pw"\n',
        '[[feeds]]\nurl = "https://user:pw@example.org/"\ncookies = "pw"\n',
        '[[feeds]]\nurl = "https://example.org/"\nusername = "a"\npassword = ["pw"]\n',
    ],
)
def test_an_error_quotes_no_secret(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(KabarError) as raised:
        declared.read(path)
    assert "pw" not in str(raised.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ([], ()),
        (["b", "a", "b"], ("b", "a")),
        ([" Asia / Indonesia ", "/Asia/Indonesia/", "Asia//Indonesia"], ("Asia/Indonesia",)),
        (["berita\u00a0 hari"], ("berita hari",)),
    ],
)
def test_tags_that_differ_in_looks_only(given: list[str], cleaned: tuple[str, ...]) -> None:
    assert declared.clean_tags(given) == cleaned


def test_more_tags_than_anybody_has() -> None:
    with pytest.raises(KabarError, match="more than 100"):
        declared.clean_tags(map(str, range(101)))
