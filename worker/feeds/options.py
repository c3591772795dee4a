"""What a user asks of the requests for one feed: headers, credentials, proxy, time limit.

Secrets may be given by reference, to a file or a variable of the environment, and are then read
anew for each request: the store holds the reference only.
"""

import base64
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from worker.errors import KabarError
from worker.http import redacted
from worker.http.target import InvalidURLError, parse_proxy

HIDDEN = "(hidden)"

_LONGEST_VALUE = 16_384  # bytes of a header that servers still take, and more
_LONGEST_TIMEOUT = 300  # as in [http]
_SECRETS = ("cookie", "password", "proxy")
_REFERENCES = ("file", "env")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
# What the client and the poll set themselves, or what would say where a request ends.
_OURS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "if-modified-since",
        "if-none-match", "keep-alive", "proxy-authorization", "range", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resolved:
    """Options as a request takes them, references replaced by what they refer to."""

    headers: dict[str, str]
    proxy: str | None = None
    timeout_seconds: float | None = None
    verify_tls: bool = True


def check(options: Mapping[str, Any]) -> None:
    """Raise `KabarError`, naming the key and quoting no secret, unless `options` can be used.

    Files and variables that are referred to need not be there yet.
    """
    for key, value in options.items():
        if key not in _CHECKS:
            raise KabarError(f"no such key {key!r}")
        _CHECKS[key](key, value)
    for key in _SECRETS:
        _refuse_several(options, [key, *(f"{key}_{kind}" for kind in _REFERENCES)])
    if "username" not in options:
        for key in ("password", "password_file", "password_env"):
            if key in options:
                raise KabarError(f"{key}: there is no username to go with it")
    _refuse_headers_given_twice(options)


def resolve(options: Mapping[str, Any], most_seconds: float | None = None) -> Resolved:
    """What a request is made with. A time limit over `most_seconds` is cut to it.

    Raises `KabarError`, quoting no secret, when `options` cannot be used, or a file or variable is
    not there or holds nothing that could be sent.
    """
    check(options)
    headers = dict(options.get("headers", {}))
    for kind in _REFERENCES:
        key = f"headers_{kind}"
        for name, reference in options.get(key, {}).items():
            headers[name] = _READ[kind](f"{key}.{name}", reference)
    if user_agent := options.get("user_agent"):
        headers["User-Agent"] = user_agent
    if cookie := _secret(options, "cookie"):
        headers["Cookie"] = cookie
    if (username := options.get("username")) is not None:
        pair = f"{username}:{_secret(options, 'password') or ''}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    if proxy := _secret(options, "proxy"):
        _check_proxy("proxy", proxy)
    timeout = options.get("timeout_seconds")
    if timeout is not None and most_seconds is not None:
        timeout = min(timeout, most_seconds)
    return Resolved(headers, proxy, timeout, options.get("verify_tls", True))


def shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` as people and JSON are shown them: secrets that are given as such are hidden."""
    hidden = dict(options)
    for key in ("cookie", "password"):
        if key in hidden:
            hidden[key] = HIDDEN
    if "headers" in hidden:
        hidden["headers"] = dict.fromkeys(hidden["headers"], HIDDEN)
    if "proxy" in hidden:
        hidden["proxy"] = redacted(hidden["proxy"])
    return hidden


def are_secret(options: Mapping[str, Any]) -> bool:
    """Whether a request with these options carries what only the feed's own site is to see."""
    return any(key.startswith(("headers", "cookie", "username")) for key in options)


def is_same_site(url: str, other: str) -> bool:
    """Whether what is meant for `url` may be sent to `other`: the same host, nothing less safe."""
    a, b = urlsplit(url), urlsplit(other)
    if (a.scheme, b.scheme) == ("https", "http"):
        return False
    return a.hostname == b.hostname and (_port(a) == _port(b) or (_port(a), _port(b)) == (80, 443))


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _check_text(key: str, value: Any) -> None:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise KabarError(f"{key}: a line of text was expected")
    if len(value.encode()) > _LONGEST_VALUE:
        raise KabarError(f"{key}: longer than {_LONGEST_VALUE} bytes")


def _check_username(key: str, value: Any) -> None:
    _check_text(key, value)
    if ":" in value:  # RFC 7617 section 2
        raise KabarError(f"{key} = {value!r}: a name without a colon was expected")


def _check_variable(key: str, value: Any) -> None:
    _check_text(key, value)
    if "=" in value:
        raise KabarError(f"{key}: the name of a variable was expected, not its value")


def _check_proxy(key: str, value: Any) -> None:
    _check_text(key, value)
    try:
        parse_proxy(value)
    except InvalidURLError:
        raise KabarError(f"{key}: a URL of the form http://host:port was expected") from None


def _check_headers(key: str, value: Any, check_value: Callable[[str, Any], None]) -> None:
    if not isinstance(value, Mapping):
        raise KabarError(f"{key}: a table of header names was expected")
    for name, given in value.items():
        if not _TOKEN.fullmatch(name):
            raise KabarError(f"{key}: {name!r} is no name of a header")
        if name.lower() in _OURS:
            raise KabarError(f"{key}: {name} cannot be set")
        check_value(f"{key}.{name}", given)


def _check_timeout(key: str, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= _LONGEST_TIMEOUT:
        raise KabarError(f"{key} = {value!r}: seconds up to {_LONGEST_TIMEOUT} were expected")


def _check_flag(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise KabarError(f"{key} = {value!r}: true or false was expected")


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "user_agent": _check_text,
    "headers": lambda key, value: _check_headers(key, value, _check_text),
    "headers_file": lambda key, value: _check_headers(key, value, _check_text),
    "headers_env": lambda key, value: _check_headers(key, value, _check_variable),
    "cookie": _check_text,
    "cookie_file": _check_text,
    "cookie_env": _check_variable,
    "username": _check_username,
    "password": _check_text,
    "password_file": _check_text,
    "password_env": _check_variable,
    "proxy": _check_proxy,
    "proxy_file": _check_text,
    "proxy_env": _check_variable,
    "timeout_seconds": _check_timeout,
    "verify_tls": _check_flag,
    "robots": _check_flag,
}

KEYS = frozenset(_CHECKS)


def _refuse_several(options: Mapping[str, Any], keys: list[str]) -> None:
    given = [key for key in keys if key in options]
    if len(given) > 1:
        raise KabarError(f"{' and '.join(given)}: one of them was expected")


def _refuse_headers_given_twice(options: Mapping[str, Any]) -> None:
    given: set[str] = set()
    for key, name in _headers(options):
        if name.lower() in given:
            raise KabarError(f"{key}: the header {name} is given twice")
        given.add(name.lower())


def _headers(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each header that the options set, with the key that sets it."""
    for key in ("headers", "headers_file", "headers_env"):
        for name in options.get(key, {}):
            yield key, name
    for key, name in (
        ("user_agent", "User-Agent"),
        ("cookie", "Cookie"),
        ("cookie_file", "Cookie"),
        ("cookie_env", "Cookie"),
        ("username", "Authorization"),
    ):
        if key in options:
            yield key, name


def _secret(options: Mapping[str, Any], key: str) -> str | None:
    for kind in _REFERENCES:
        if reference := options.get(f"{key}_{kind}"):
            return _READ[kind](f"{key}_{kind}", reference)
    return options.get(key)


def _from_file(key: str, name: str) -> str:
    path = Path(name).expanduser()
    try:
        if not path.is_file():  # a pipe would be waited for
            raise KabarError(f"{key} = {name!r}: no such file")
        with path.open("rb") as file:
            text = file.read(_LONGEST_VALUE + 1).decode("utf-8").strip()
    except OSError as error:
        raise KabarError(f"{key} = {name!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KabarError(f"{key} = {name!r}: not a text file") from None
    _check_text(f"{key} = {name!r}", text)
    return text


def _from_environment(key: str, name: str) -> str:
    text = os.environ.get(name)
    if text is None:
        raise KabarError(f"{key} = {name!r}: no such variable in the environment")
    _check_text(f"{key} = {name!r}", text.strip())
    return text.strip()


_READ: dict[str, Callable[[str, str], str]] = {"file": _from_file, "env": _from_environment}
