"""Feeds as a file declares them: `config/feeds.toml`."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from worker.errors import KabarError

_LONGEST_URL = 2_000  # PostgreSQL indexes no more than 2,700 bytes
_LONGEST_INTERVAL = 31_536_000  # a year
_KEYS = {"url", "title", "interval_seconds"}


@dataclass(frozen=True, slots=True)
class Declared:
    """A feed as it was declared; None where the file leaves it to the feed or the settings."""

    url: str
    title: str | None = None
    interval_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file's feeds, each URL once, and the digest (64 hex digits) of its content."""

    digest: str
    feeds: tuple[Declared, ...]


def digest(path: Path) -> str | None:
    """The digest of the file's content; None when there is no file.

    Raises `KabarError` when it cannot be read.
    """
    return hashlib.sha256(_content(path)).hexdigest() if path.is_file() else None


def read(path: Path) -> File:
    """Read a file of `[[feeds]]` tables.

    Raises `KabarError`, naming the file, when any of it cannot be understood.
    """
    content = _content(path)
    try:
        listed = [_declared(item) for item in _tables(content.decode("utf-8"))]
    except (KabarError, ValueError) as error:
        raise KabarError(f"{path}: {error}") from None
    once = {feed.url: feed for feed in reversed(listed)}
    return File(hashlib.sha256(content).hexdigest(), tuple(reversed(once.values())))


def check_url(url: str) -> None:
    """Raise `KabarError` unless `url` is an absolute http(s) URL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > _LONGEST_URL:
        raise KabarError(f"{url!r} is no URL of the form https://host/path")


def check_interval(seconds: object) -> None:
    """Raise `KabarError` unless `seconds` can be waited for; None leaves it to the settings."""
    if seconds is None:
        return
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 1 <= cast("float", seconds) <= _LONGEST_INTERVAL:
        raise KabarError(
            f"interval_seconds = {seconds!r}: seconds from 1 to {_LONGEST_INTERVAL} were expected"
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KabarError(f"{path}: {error.strerror}") from None


def _tables(text: str) -> list[Any]:
    document = tomllib.loads(text)
    if unknown := set(document) - {"feeds"}:
        raise KabarError(f"no such key {sorted(unknown)[0]!r}; each feed is a [[feeds]]")
    listed = document.get("feeds", [])
    if not isinstance(listed, list):
        raise KabarError(f"feeds = {listed!r}: a list of [[feeds]] was expected")
    return listed


def _declared(item: Any) -> Declared:
    url = item.get("url") if isinstance(item, dict) else None
    if not isinstance(url, str):
        raise KabarError(f"[[feeds]] needs a url, found {item!r}")
    check_url(url)
    if unknown := set(item) - _KEYS:
        raise KabarError(f"[[feeds]] {url}: no such key {sorted(unknown)[0]!r}")
    if not isinstance(title := item.get("title", ""), str):
        raise KabarError(f"[[feeds]] {url}: title = {title!r}: a text was expected")
    check_interval(item.get("interval_seconds"))
    return Declared(**item)
