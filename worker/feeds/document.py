"""What a feed's document holds: as the reader of its format found it, and cleaned for use."""

from dataclasses import dataclass
from datetime import datetime

from worker.feeds.identity import IdentityBy
from worker.reasons import Reason


class FeedError(Exception):
    """The document is of no use as a feed; `reason` says in which way."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it stands in the document: nothing is resolved, parsed or capped.

    `title` is text; `summary` and `content` may hold HTML.
    """

    guid: str = ""
    link: str = ""
    title: str = ""
    summary: str = ""
    content: str = ""
    authors: tuple[str, ...] = ()
    published: str = ""
    updated: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """A document as the reader of its format found it; the fields are those of `Document`."""

    items: tuple[Item, ...] = ()
    title: str = ""
    link: str = ""
    language: str = ""
    hint_seconds: float | None = None
    skip_hours: tuple[int, ...] = ()
    skip_days: tuple[int, ...] = ()
    hubs: tuple[str, ...] = ()
    self_link: str = ""
    children: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a feed, as the publisher gave it; `summary` and `content` may hold HTML.

    `identity` is the same whenever the feed lists the item; `revision` changes with its text.
    """

    identity: str
    url: str | None
    title: str
    summary: str
    content: str
    authors: tuple[str, ...]
    published_at: datetime | None
    updated_at: datetime | None
    revision: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed feed; entries in the document's order, each identity once.

    `identity_by` is how the identities were made, None when there was nothing to tell it by.
    The publisher asks not to be polled for `hint_seconds` after a poll, at most a day, nor in
    the hours (UTC) and on the days (0 is Monday) to skip. `hub_urls` push news of `self_url` (W3C
    WebSub section 4). `children` are the sitemaps that a sitemap index lists, newest first. All
    URLs are absolute. One that is not `complete` was cut off on its way; its last entry is left
    out, since it may lack its end.
    """

    title: str | None
    site_url: str | None
    language: str | None
    entries: tuple[Entry, ...]
    identity_by: IdentityBy | None
    hint_seconds: float | None = None
    skip_hours: tuple[int, ...] = ()
    skip_days: tuple[int, ...] = ()
    hub_urls: tuple[str, ...] = ()
    self_url: str | None = None
    children: tuple[str, ...] = ()
    complete: bool = True
