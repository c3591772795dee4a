"""Feeds as a file declares them: `config/feeds.toml`."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from worker.errors import KabarError
from worker.feeds import options
from worker.http import redacted

_LONGEST_URL = 2_000  # PostgreSQL indexes no more than 2,700 bytes
_LONGEST_INTERVAL = 31_536_000  # a year
LONGEST_TITLE = 1_000
LONGEST_TAG = 200
_MOST_TAGS = 100
_KEYS = {"url", "title", "interval_seconds", "tags"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Declared:
    """A feed as it was declared; None where that leaves it to the feed or the settings.

    A tag may stand for a folder within a folder: `Asia/Indonesia`.
    """

    url: str
    title: str | None = None
    interval_seconds: float | None = None
    tags: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


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


def check(feed: Declared) -> None:
    """Raise `KabarError` unless all that is said of the feed can be used."""
    check_url(feed.url)
    check_title(feed.title)
    check_interval(feed.interval_seconds)
    options.check(feed.options)


def check_url(url: str) -> None:
    """Raise `KabarError` unless `url` is an absolute http(s) URL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > _LONGEST_URL:
        raise KabarError(f"{redacted(url)!r} is no URL of the form https://host/path")


def check_interval(seconds: object) -> None:
    """Raise `KabarError` unless `seconds` can be waited for; None leaves it to the settings."""
    if seconds is None:
        return
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 1 <= cast("float", seconds) <= _LONGEST_INTERVAL:
        raise KabarError(
            f"interval_seconds = {seconds!r}: seconds from 1 to {_LONGEST_INTERVAL} were expected"
        )


def check_title(title: object) -> None:
    """Raise `KabarError` unless `title` is a line of text; None leaves it to the feed."""
    if title is None:
        return
    if not isinstance(title, str) or _CONTROL.search(title) or len(title) > LONGEST_TITLE:
        raise KabarError(f"title = {title!r}: a line of text was expected")


def clean_tags(tags: Iterable[object]) -> tuple[str, ...]:
    """`tags` without what makes no difference: space around names, empty levels, repetition.

    Raises `KabarError` for what is no name.
    """
    cleaned = tuple(dict.fromkeys(map(_tag, tags)))
    if len(cleaned) > _MOST_TAGS:
        raise KabarError(f"tags: more than {_MOST_TAGS}")
    return cleaned


def _tag(tag: object) -> str:
    if not isinstance(tag, str) or _CONTROL.search(tag) or len(tag) > LONGEST_TAG:
        raise KabarError(f"tags: {tag!r}: a name was expected")
    levels = (" ".join(level.split()) for level in tag.split("/"))
    if not (cleaned := "/".join(filter(None, levels))):
        raise KabarError(f"tags: {tag!r}: a name was expected")
    return cleaned


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
        keys = f" with the keys {', '.join(item)}" if isinstance(item, dict) else ""
        raise KabarError(f"[[feeds]] needs a url, found a {type(item).__name__}{keys}")
    check_url(url)
    try:
        return _checked(url, item)
    except KabarError as error:
        raise KabarError(f"[[feeds]] {redacted(url)}: {error}") from None


def _checked(url: str, item: Mapping[str, Any]) -> Declared:
    if not isinstance(tags := item.get("tags", []), list):
        raise KabarError(f"tags = {tags!r}: a list of names was expected")
    given = {key: value for key, value in item.items() if key not in _KEYS}
    feed = Declared(url, item.get("title"), item.get("interval_seconds"), clean_tags(tags), given)
    check(feed)
    return feed
