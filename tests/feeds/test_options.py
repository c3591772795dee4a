"""Options of a feed's requests: what is refused, what is sent, and what is shown."""

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest

from worker.errors import KabarError
from worker.feeds import options

SECRET = "s3cret"


class TestCheck:
    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"user_agent": "Mozilla/5.0 (Siaran é)", "timeout_seconds": 0.5, "verify_tls": False},
            {"headers": {"X-Key": "a"}, "headers_env": {"X-Token": "TOKEN"}, "robots": False},
            {"headers_file": {"Authorization": "/run/secrets/key"}},
            {"cookie_env": "COOKIE", "proxy_file": "~/proxy", "username": "reader"},
            {"username": "reader", "password_file": "/nowhere/yet"},
            {"proxy": "http://user:pass@[::1]:3128", "timeout_seconds": 300},
        ],
    )
    def test_what_can_be_used(self, given: dict[str, Any]) -> None:
        options.check(given)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"user_agnet": "a"}, "no such key 'user_agnet'"),
            ({"user_agent": ""}, "user_agent: a line of text"),
            ({"user_agent": "a\r\nX-Key: b"}, "user_agent: a line of text"),
            ({"user_agent": "a\ud800"}, "user_agent: a line of text"),
            ({"user_agent": 5}, "user_agent: a line of text"),
            ({"cookie": "a" * 16_385}, "cookie: longer than 16384 bytes"),
            ({"headers": ["X-Key: a"]}, "headers: a table of header names"),
            ({"headers": {"X Key": "a"}}, "headers: 'X Key' is no name of a header"),
            ({"headers": {"X-Key\n": "a"}}, "headers: 'X-Key\\n' is no name of a header"),
            ({"headers": {"": "a"}}, "headers: '' is no name of a header"),
            ({"headers": {"HOST": "a"}}, "headers: HOST cannot be set"),
            ({"headers": {"If-None-Match": "a"}}, "headers: If-None-Match cannot be set"),
            ({"headers": {"X-Key": 5}}, "headers.X-Key: a line of text"),
            ({"headers_env": {"X-Key": "A=b"}}, "headers_env.X-Key: the name of a variable"),
            ({"headers": {"X-Key": "a", "x-key": "b"}}, "headers: the header x-key is given twice"),
            (
                {"headers": {"X-Key": "a"}, "headers_env": {"x-key": "B"}},
                "headers_env: the header x-key is given twice",
            ),
            (
                {"headers": {"cookie": "a"}, "cookie_env": "A"},
                "cookie_env: the header Cookie is given twice",
            ),
            (
                {"headers": {"Authorization": "a"}, "username": "a"},
                "username: the header Authorization is given twice",
            ),
            ({"cookie": "a", "cookie_env": "B"}, "cookie and cookie_env: one of them"),
            ({"proxy_file": "a", "proxy_env": "B"}, "proxy_file and proxy_env: one of them"),
            ({"password_env": "A"}, "password_env: there is no username to go with it"),
            ({"username": "a:b"}, "username = 'a:b': a name without a colon"),
            ({"proxy": "socks5://host:1080"}, "proxy: a URL of the form http://host:port"),
            ({"proxy": "https://host:3128"}, "proxy: a URL of the form http://host:port"),
            ({"proxy": "http://host:3128/x"}, "proxy: a URL of the form http://host:port"),
            ({"proxy": "host:3128"}, "proxy: a URL of the form http://host:port"),
            ({"proxy": "http://[::1"}, "proxy: a URL of the form http://host:port"),
            ({"timeout_seconds": 0}, "timeout_seconds = 0: seconds up to 300"),
            ({"timeout_seconds": 301}, "timeout_seconds = 301: seconds up to 300"),
            ({"timeout_seconds": float("nan")}, "timeout_seconds = nan: seconds up to 300"),
            ({"timeout_seconds": True}, "timeout_seconds = True: seconds up to 300"),
            ({"timeout_seconds": "5"}, "timeout_seconds = '5': seconds up to 300"),
            ({"verify_tls": 0}, "verify_tls = 0: true or false"),
            ({"robots": "no"}, "robots = 'no': true or false"),
        ],
    )
    def test_what_cannot(self, given: dict[str, Any], message: str) -> None:
        for use in (options.check, options.resolve):
            with pytest.raises(KabarError, match=re.escape(message)):
                use(given)

    @pytest.mark.parametrize(
        "given",
        [
            {"cookie": f"{SECRET}\n"},
            {"username": "a", "password": f"{SECRET}\0"},
            {"username": "a", "password": [SECRET]},
            {"proxy": f"ftp://user:{SECRET}@host"},
            {"headers": {"Authorization": f"{SECRET}\r"}},
            {"headers": {"Authorization": [SECRET]}},
            {"headers": SECRET},
            {"cookie_env": f"SID={SECRET}"},
            {"cookie": SECRET, "cookie_file": "a"},
            {"password": SECRET},
        ],
    )
    def test_no_secret_is_quoted(self, given: dict[str, Any]) -> None:
        with pytest.raises(KabarError) as raised:
            options.check(given)
        assert SECRET not in str(raised.value)


class TestResolve:
    def test_nothing_asked_for(self) -> None:
        assert options.resolve({}) == options.Resolved({}, None, None, True)

    def test_what_is_given_as_such(self) -> None:
        resolved = options.resolve(
            {
                "user_agent": "Siaran/1", "headers": {"X-Key": "k"}, "cookie": "sid=1",
                "username": "réader", "password": "p:w", "proxy": "http://u:p@proxy:3128",
                "timeout_seconds": 5, "verify_tls": False, "robots": False,
            }
        )  # fmt: skip
        credentials = base64.b64encode("réader:p:w".encode()).decode()
        assert resolved == options.Resolved(
            {
                "X-Key": "k",
                "User-Agent": "Siaran/1",
                "Cookie": "sid=1",
                "Authorization": f"Basic {credentials}",
            },
            "http://u:p@proxy:3128",
            5,
            False,
        )

    def test_references(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "cookie").write_text("sid=1\n")
        (tmp_path / "key").write_text("k\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("FEED_PASSWORD", "pw")
        monkeypatch.setenv("FEED_PROXY", "http://proxy:3128 ")
        resolved = options.resolve(
            {
                "headers_file": {"X-Key": str(tmp_path / "key")},
                "headers_env": {"X-Pass": "FEED_PASSWORD"},
                "cookie_file": "~/cookie",
                "username": "a",
                "password_env": "FEED_PASSWORD",
                "proxy_env": "FEED_PROXY",
            }
        )
        assert resolved.headers == {
            "X-Key": "k",
            "X-Pass": "pw",
            "Cookie": "sid=1",
            "Authorization": "Basic YTpwdw==",
        }
        assert resolved.proxy == "http://proxy:3128"

    def test_a_name_without_a_password(self) -> None:
        assert options.resolve({"username": "a"}).headers == {"Authorization": "Basic YTo="}

    @pytest.mark.parametrize(("asked", "most", "given"), [(90, 59, 59), (5, 59, 5), (90, None, 90)])
    def test_a_time_limit_is_cut_to_what_a_batch_has(
        self, asked: float, most: float | None, given: float
    ) -> None:
        assert options.resolve({"timeout_seconds": asked}, most).timeout_seconds == given
        assert options.resolve({}, most).timeout_seconds is None

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"cookie_file": "nowhere"}, "cookie_file = 'nowhere': no such file"),
            ({"cookie_file": "."}, "cookie_file = '.': no such file"),
            ({"cookie_file": "pipe"}, "cookie_file = 'pipe': no such file"),
            ({"cookie_file": "bytes"}, "cookie_file = 'bytes': not a text file"),
            ({"cookie_file": "empty"}, "cookie_file = 'empty': a line of text"),
            ({"cookie_file": "lines"}, "cookie_file = 'lines': a line of text"),
            ({"cookie_file": "long"}, "cookie_file = 'long': longer than 16384 bytes"),
            (
                {"headers_file": {"X-Key": "nowhere"}},
                "headers_file.X-Key = 'nowhere': no such file",
            ),
            (
                {"headers_env": {"X-Key": "NOT_SET"}},
                "headers_env.X-Key = 'NOT_SET': no such variable in the environment",
            ),
            (
                {"username": "a", "password_env": "EMPTY"},
                "password_env = 'EMPTY': a line of text",
            ),
            ({"proxy_env": "COOKIE"}, "proxy: a URL of the form"),
        ],
    )
    def test_a_reference_to_what_is_not_there(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        given: dict[str, Any],
        message: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EMPTY", " ")
        monkeypatch.setenv("COOKIE", SECRET)
        os.mkfifo("pipe")
        Path("bytes").write_bytes(b"\xff\xfe")
        Path("empty").touch()
        Path("lines").write_text(f"{SECRET}\n{SECRET}\n")
        Path("long").write_text(SECRET * 10_000)
        with pytest.raises(KabarError, match=re.escape(message)) as raised:
            options.resolve(given)
        assert SECRET not in str(raised.value)


def test_what_is_shown_holds_no_secret() -> None:
    given = {
        "headers": {"X-Key": SECRET}, "cookie": SECRET, "username": "a", "password": SECRET,
        "proxy": f"http://user:{SECRET}@proxy:3128", "headers_file": {"X-Other": "/run/key"},
        "timeout_seconds": 5,
    }  # fmt: skip
    assert options.shown(given) == {
        "headers": {"X-Key": "(hidden)"}, "cookie": "(hidden)", "username": "a",
        "password": "(hidden)", "proxy": "http://proxy:3128",
        "headers_file": {"X-Other": "/run/key"}, "timeout_seconds": 5,
    }  # fmt: skip
    assert given["cookie"] == SECRET
